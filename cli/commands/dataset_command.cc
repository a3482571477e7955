// distillery dataset inspect: what is in a data set, and a picture of it.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/terminal/text_table.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/catalog.h"
#include "common/data/contact_sheet.h"
#include "common/data/png_file.h"
#include "common/data/shared_samples.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class DatasetCommand : public Command {
 public:
  explicit DatasetCommand(CommandLine* parent)
      : Command(parent, "dataset", "Look into a data set.",
                "  distillery dataset inspect digits --sheet digits.png\n"
                "  distillery dataset inspect mnist --data-dir data --split test --json") {
    line_.RequireCommand();
    CommandLine inspect =
        line_.AddCommand("inspect",
                         "Print counts by class, image sizes, shards, the digest and what was "
                         "left out; draw samples.");
    inspect.Add("dataset", reference_.name, "digits (built in), or a folder's name").Required();
    inspect.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    inspect.Add("--split", reference_.split, "train, test, fit or validation").ShowDefault();
    inspect.Add("--shard-size", reference_.shard_size, "samples per shard").ShowDefault();
    inspect.Add("--sheet", sheet_path_, "draw the first samples of each class into a PNG");
    inspect.Add("--per-class", per_class_, "samples of each class on the sheet")
        .Between(1, 100)
        .ShowDefault();
    inspect.Add("--json", json_, "print it as JSON");
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    DatasetCatalog catalog(data_dir_);
    DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(reference_));
    DISTILLERY_ASSIGN_OR_RETURN(const Findings findings, Look(*dataset, &catalog));
    if (!sheet_path_.empty()) {
      ContactSheetOptions options;
      options.columns = per_class_;
      DISTILLERY_ASSIGN_OR_RETURN(const Image sheet, MakeContactSheet(*dataset, options));
      DISTILLERY_ASSIGN_OR_RETURN(const std::string png, EncodePng(sheet));
      DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(sheet_path_, png));
    }
    std::fputs((json_ ? Json(*dataset, findings) : Text(*dataset, findings)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  struct Findings {
    // Samples of the split, by class.
    std::vector<int64_t> counts;
    // Names of classes that no sample of train has.
    std::vector<std::string> untrained;
    int64_t test_samples = 0;
    int64_t test_samples_in_train = 0;
  };

  absl::StatusOr<Findings> Look(const Dataset& dataset, DatasetCatalog* catalog) const {
    Findings findings;
    findings.counts = CountByClass(dataset);
    DISTILLERY_ASSIGN_OR_RETURN(const auto train,
                                catalog->Open({reference_.name, "train", reference_.shard_size}));
    DISTILLERY_ASSIGN_OR_RETURN(const auto test,
                                catalog->Open({reference_.name, "test", reference_.shard_size}));
    const std::vector<int64_t> trained = CountByClass(*train);
    for (size_t i = 0; i < trained.size(); ++i) {
      if (trained[i] == 0) findings.untrained.push_back(dataset.class_names()[i]);
    }
    findings.test_samples = test->size();
    DISTILLERY_ASSIGN_OR_RETURN(findings.test_samples_in_train, CountSharedSamples(*train, *test));
    return findings;
  }

  static std::vector<int64_t> CountByClass(const Dataset& dataset) {
    std::vector<int64_t> counts(dataset.class_names().size());
    for (int64_t row = 0; row < dataset.size(); ++row) ++counts[dataset.Label(row)];
    return counts;
  }

  std::string Text(const Dataset& dataset, const Findings& findings) const {
    std::string text = absl::StrFormat(
        "%s/%s: %d images of %s, values 0..%d\n%d shards of %d, digest %s\n", reference_.name,
        reference_.split, dataset.size(), absl::StrJoin(dataset.shape().ToVector(), " x "),
        dataset.pixel_max(), dataset.shard_count(), reference_.shard_size, dataset.digest());
    if (!dataset.left_out().empty()) {
      absl::StrAppend(&text, "left out: ", JoinLeftOut(dataset.left_out()), "\n");
    }
    if (!findings.untrained.empty()) {
      absl::StrAppend(&text,
                      "classes without training samples: ", absl::StrJoin(findings.untrained, ", "),
                      "\n");
    }
    absl::StrAppend(&text, findings.test_samples_in_train, " of ", findings.test_samples,
                    " test images are also among the training images\n\n");
    std::vector<std::vector<std::string>> rows = {{"class", "images"}};
    for (size_t i = 0; i < findings.counts.size(); ++i) {
      rows.push_back({dataset.class_names()[i], absl::StrCat(findings.counts[i])});
    }
    absl::StrAppend(&text, FormatTable(rows));
    if (!sheet_path_.empty()) absl::StrAppend(&text, "\npicture in ", PlainText(sheet_path_), "\n");
    return text;
  }

  std::string Json(const Dataset& dataset, const Findings& findings) const {
    nlohmann::ordered_json json;
    json["name"] = reference_.name;
    json["split"] = reference_.split;
    json["sample_count"] = dataset.size();
    json["shape"] = dataset.shape().ToVector();
    json["pixel_max"] = dataset.pixel_max();
    json["shard_size"] = reference_.shard_size;
    json["shard_count"] = dataset.shard_count();
    json["digest"] = dataset.digest();
    json["left_out"] = nlohmann::ordered_json::array();
    for (const LeftOut& left_out : dataset.left_out()) {
      json["left_out"].push_back({{"what", left_out.what}, {"file_count", left_out.file_count}});
    }
    json["classes_without_training"] = findings.untrained;
    json["test_samples_in_train"] = findings.test_samples_in_train;
    for (size_t i = 0; i < findings.counts.size(); ++i) {
      json["classes"].push_back(
          {{"name", dataset.class_names()[i]}, {"sample_count", findings.counts[i]}});
    }
    return JsonText(json, 2) + "\n";
  }

  DatasetReference reference_ = {"", "train", 128};
  std::string data_dir_;
  std::string sheet_path_;
  int64_t per_class_ = 12;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDatasetCommand(CommandLine* parent) {
  return std::make_unique<DatasetCommand>(parent);
}

}  // namespace distillery
