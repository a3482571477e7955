// distillery dataset inspect: what is in a data set, and a picture of it.
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/models/answer_view.h"
#include "cli/models/sample.h"
#include "cli/models/sample_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/catalog.h"
#include "common/data/contact_sheet.h"
#include "common/data/label_counts.h"
#include "common/data/number_ranges.h"
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
                         "left out; draw samples. Of other samples than images it shows the first, "
                         "and the range of their numbers.");
    inspect.Add("dataset", reference_.name, "digits (built in), or a folder's name").Required();
    inspect.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    inspect.Add("--split", reference_.split, "train, test, fit or validation").ShowDefault();
    inspect.Add("--shard-size", reference_.shard_size, "samples per shard").ShowDefault();
    inspect.Add("--sheet", sheet_path_,
                "draw the first samples of each class into a PNG, of sound the waveform and the "
                "spectrogram; of pictures with a class for "
                "each pixel the first, with these over them");
    inspect.Add("--augmentation", augmentation_,
                "draw the first sample of each class alone, as it is and in views of this "
                "augmentation: docs/augmentation.md");
    inspect
        .Add("--per-class", per_class_,
             "samples of each class on the sheet, or in each of its rows")
        .Between(1, 100)
        .ShowDefault();
    inspect.Add("--json", json_, "print it as JSON");
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    if (!augmentation_.empty() && sheet_path_.empty()) {
      return absl::InvalidArgumentError("--augmentation is drawn into a picture: add --sheet FILE");
    }
    DatasetCatalog catalog(data_dir_);
    DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(reference_));
    DISTILLERY_ASSIGN_OR_RETURN(const Findings findings, Look(*dataset, &catalog));
    if (!sheet_path_.empty()) {
      ContactSheetOptions options;
      options.columns = per_class_;
      absl::StatusOr<Augmentation> augmentation = Augmentation::Parse(augmentation_);
      if (!augmentation.ok()) return Annotate(augmentation.status(), "--augmentation");
      options.augmentation = *std::move(augmentation);
      DISTILLERY_ASSIGN_OR_RETURN(const Image sheet, MakeContactSheet(*dataset, options));
      DISTILLERY_ASSIGN_OR_RETURN(const std::string png, EncodePng(sheet));
      DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(sheet_path_, png));
    }
    std::fputs((json_ ? Json(*dataset, findings) : Text(*dataset, findings)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  struct SplitCounts {
    std::string name;
    int64_t size = 0;
    // By class.
    std::vector<int64_t> counts;
  };

  struct Findings {
    // Samples of the split, by class.
    std::vector<int64_t> counts;
    // Of all splits.
    std::vector<SplitCounts> splits;
    // Names of classes that no sample of train has.
    std::vector<std::string> untrained;
    int64_t test_samples = 0;
    SharedSamples shared;
    // Of other samples than images by class: the first ones, and what their numbers are.
    std::vector<Sample> samples;
    NumberRanges ranges;
  };

  absl::StatusOr<Findings> Look(const Dataset& dataset, DatasetCatalog* catalog) const {
    Findings findings;
    DISTILLERY_ASSIGN_OR_RETURN(const auto train,
                                catalog->Open({reference_.name, "train", reference_.shard_size}));
    DISTILLERY_ASSIGN_OR_RETURN(const auto test,
                                catalog->Open({reference_.name, "test", reference_.shard_size}));
    findings.test_samples = test->size();
    DISTILLERY_ASSIGN_OR_RETURN(findings.shared, FindSharedSamples(*train, *test));
    for (const std::string& split : KnownSplits()) {
      SplitCounts& counts = findings.splits.emplace_back();
      counts.name = split;
      const auto opened = catalog->Open({reference_.name, split, reference_.shard_size});
      // Of few samples no part may be left for validation.
      if (absl::IsInvalidArgument(opened.status())) continue;
      DISTILLERY_RETURN_IF_ERROR(opened.status());
      counts.size = (*opened)->size();
      DISTILLERY_ASSIGN_OR_RETURN(counts.counts, CountLabels(**opened));
      if (split == reference_.split) findings.counts = counts.counts;
      if (split != "train") continue;
      for (size_t i = 0; i < counts.counts.size(); ++i) {
        if (counts.counts[i] == 0) findings.untrained.push_back(dataset.class_names()[i]);
      }
    }
    if (dataset.spec().is_picture_by_class()) return findings;
    std::vector<int64_t> first;
    for (int64_t row = 0; row < std::min(kSamplesShown, dataset.size()); ++row) {
      first.push_back(row);
    }
    DISTILLERY_ASSIGN_OR_RETURN(findings.samples, ReadSamplesOf(dataset, data_dir_, first));
    DISTILLERY_ASSIGN_OR_RETURN(findings.ranges, MeasureNumbers(dataset));
    return findings;
  }

  static std::string Describe(const Dataset& dataset) {
    if (!dataset.spec().is_picture_by_class()) {
      return absl::StrCat(dataset.size(), " samples of ", dataset.spec().ToString());
    }
    return absl::StrFormat("%d images of %s, values 0..%d", dataset.size(),
                           absl::StrJoin(dataset.shape().ToVector(), " x "), dataset.pixel_max());
  }

  static std::string JoinFirst(const std::vector<std::string>& names, size_t most) {
    const size_t shown = std::min(names.size(), most);
    return absl::StrCat(
        absl::StrJoin(names.begin(), names.begin() + static_cast<int64_t>(shown), ", "),
        names.size() > shown ? absl::StrCat(" and ", names.size() - shown, " more") : "");
  }

  static std::string ClassTable(const Dataset& dataset, const Findings& findings,
                                const std::string& samples) {
    std::vector<std::vector<std::string>> rows = {{"class"}};
    for (const SplitCounts& split : findings.splits) rows.front().push_back(split.name);
    for (size_t i = 0; i < findings.counts.size(); ++i) {
      std::vector<std::string>& row = rows.emplace_back();
      row.push_back(dataset.class_names()[i]);
      for (const SplitCounts& split : findings.splits) {
        row.push_back(absl::StrCat(split.counts.empty() ? 0 : split.counts[i]));
      }
    }
    rows.push_back({absl::StrCat("all ", samples)});
    for (const SplitCounts& split : findings.splits) {
      rows.back().push_back(absl::StrCat(split.size));
    }
    return FormatTable(rows);
  }

  // Classes or labels that occur, the most frequent ones of many.
  static std::string LabelTable(const Dataset& dataset, const Findings& findings) {
    const AnswerSpec& answer = dataset.spec().answer;
    std::vector<size_t> order;
    for (size_t i = 0; i < findings.counts.size(); ++i) {
      if (findings.counts[i] > 0) order.push_back(i);
    }
    const size_t occur = order.size();
    if (occur > kClassesShown) {
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return findings.counts[a] > findings.counts[b]; });
      order.resize(kClassesShown);
    }
    std::vector<std::vector<std::string>> rows = {
        {answer.kind == AnswerKind::kMultilabel ? "label" : "class",
         answer.positions.empty() ? "samples" : "positions"}};
    for (const size_t i : order) {
      rows.push_back({dataset.class_names()[i], absl::StrCat(findings.counts[i])});
    }
    std::string text = FormatTable(rows);
    if (occur > order.size()) {
      absl::StrAppend(&text, "... and ", occur - order.size(), " more that occur\n");
    }
    if (findings.counts.size() > occur) {
      absl::StrAppend(&text, findings.counts.size() - occur, " of ", findings.counts.size(),
                      " occur nowhere in this split\n");
    }
    return text;
  }

  static std::vector<std::string> RangeRow(const std::string& name, const NumberRange& range) {
    return {name, NumberText(range.low), NumberText(range.mean), NumberText(range.deviation),
            NumberText(range.high)};
  }

  // Of values and of float inputs.
  static std::string RangeTable(const Dataset& dataset, const Findings& findings) {
    const std::vector<std::string> head = {"", "lowest", "mean", "deviation", "highest"};
    std::vector<std::vector<std::string>> rows = {head};
    for (size_t i = 0; i < findings.ranges.values.size(); ++i) {
      rows.push_back(
          RangeRow(absl::StrCat(dataset.class_names()[i], " (value)"), findings.ranges.values[i]));
    }
    size_t more = 0;
    for (size_t i = 0; i < findings.ranges.inputs.size(); ++i) {
      const std::vector<NumberRange>& ranges = findings.ranges.inputs[i];
      for (size_t k = 0; k < std::min(ranges.size(), kFeaturesShown); ++k) {
        rows.push_back(RangeRow(FeatureName(dataset, findings, i, k), ranges[k]));
      }
      more += ranges.size() - std::min(ranges.size(), kFeaturesShown);
    }
    if (rows.size() == 1) return "";
    return absl::StrCat("\n", FormatTable(rows),
                        more > 0 ? absl::StrCat("... and ", more, " more\n") : "");
  }

  // "alcohol", or "features[3]"; of one channel the input's own.
  static std::string FeatureName(const Dataset& dataset, const Findings& findings, size_t input,
                                 size_t channel) {
    const std::vector<std::string>& names = findings.samples.front().feature_names;
    if (channel < names.size()) return names[channel];
    const std::string& name = dataset.spec().inputs[input].name;
    if (findings.ranges.inputs[input].size() == 1) return name;
    return absl::StrCat(name, "[", channel, "]");
  }

  static std::string Details(const Dataset& dataset, const Findings& findings) {
    std::string text = findings.counts.empty() ? "" : LabelTable(dataset, findings);
    absl::StrAppend(&text, RangeTable(dataset, findings));
    for (const Sample& sample : findings.samples) {
      absl::StrAppend(&text, "\n", sample.name, "\n",
                      DescribeInputs(sample, /*feature_lines=*/false));
      const AnswerSpec& answer = sample.spec.answer;
      if (answer.kind == AnswerKind::kClasses && answer.positions.size() == 2) {
        absl::StrAppend(&text, MaskText(sample, sample.labels));
      }
      absl::StrAppend(&text, "label: ", DescribeLabel(sample), "\n");
    }
    return text;
  }

  static nlohmann::ordered_json RangeJson(const std::string& name, const NumberRange& range) {
    return {{"name", name},
            {"lowest", range.low},
            {"mean", range.mean},
            {"deviation", range.deviation},
            {"highest", range.high}};
  }

  static void AddDetails(const Dataset& dataset, const Findings& findings,
                         nlohmann::ordered_json* json) {
    for (size_t i = 0; i < findings.ranges.values.size(); ++i) {
      (*json)["values"].push_back(RangeJson(dataset.class_names()[i], findings.ranges.values[i]));
    }
    for (size_t i = 0; i < findings.ranges.inputs.size(); ++i) {
      for (size_t k = 0; k < findings.ranges.inputs[i].size(); ++k) {
        (*json)["features"].push_back(
            RangeJson(FeatureName(dataset, findings, i, k), findings.ranges.inputs[i][k]));
      }
    }
    for (const Sample& sample : findings.samples) {
      nlohmann::ordered_json one = {{"name", sample.name}};
      for (size_t i = 0; i < sample.inputs.size(); ++i) {
        one["inputs"].push_back(InputToJson(sample, i, /*all=*/false));
      }
      one["label"] = DescribeLabel(sample);
      (*json)["samples"].push_back(std::move(one));
    }
  }

  static nlohmann::ordered_json ToJson(const InputSpec& input) {
    nlohmann::ordered_json json = {{"name", input.name},
                                   {"type", std::string(SpecOf(input.type).text)},
                                   {"shape", input.shape}};
    if (input.is_picture()) json["pixel_max"] = input.pixel_max;
    if (input.vocabulary > 0) json["vocabulary"] = input.vocabulary;
    return json;
  }

  // Which ones, by the numbers that --index takes.
  static std::string SharedText(const SharedSamples& shared) {
    if (shared.first.empty()) return "";
    const auto more = shared.count - static_cast<int64_t>(shared.first.size());
    return absl::StrCat(": ",
                        absl::StrJoin(shared.first, ", ",
                                      [](std::string* out, const std::pair<int64_t, int64_t>& one) {
                                        absl::StrAppend(out, "test ", one.first, " is train ",
                                                        one.second);
                                      }),
                        more > 0 ? absl::StrCat(" and ", more, " more") : "");
  }

  std::string Text(const Dataset& dataset, const Findings& findings) const {
    std::string text = absl::StrFormat("%s/%s: %s\n%d shards of %d, digest %s\n", reference_.name,
                                       reference_.split, Describe(dataset), dataset.shard_count(),
                                       reference_.shard_size, dataset.digest());
    if (!dataset.left_out().empty()) {
      absl::StrAppend(&text, "left out: ", JoinLeftOut(dataset.left_out()), "\n");
    }
    const bool pictures = dataset.spec().is_picture_by_class();
    if (!findings.untrained.empty()) {
      const size_t most = pictures ? findings.untrained.size() : kUntrainedShown;
      absl::StrAppend(
          &text, "classes without training samples: ", JoinFirst(findings.untrained, most), "\n");
    }
    const std::string samples = pictures ? "images" : "samples";
    if (!pictures) {
      absl::StrAppend(&text, "splits: ",
                      absl::StrJoin(findings.splits, ", ",
                                    [](std::string* out, const SplitCounts& split) {
                                      absl::StrAppend(out, split.name, " ", split.size);
                                    }),
                      "\n");
    }
    absl::StrAppend(&text, findings.shared.count, " of ", findings.test_samples, " test ", samples,
                    " are also among the training ", samples, SharedText(findings.shared), "\n\n");
    absl::StrAppend(&text,
                    pictures ? ClassTable(dataset, findings, samples) : Details(dataset, findings));
    if (!sheet_path_.empty()) absl::StrAppend(&text, "\npicture in ", PlainText(sheet_path_), "\n");
    return text;
  }

  std::string Json(const Dataset& dataset, const Findings& findings) const {
    nlohmann::ordered_json json;
    json["name"] = reference_.name;
    json["split"] = reference_.split;
    json["sample_count"] = dataset.size();
    if (dataset.spec().is_picture_by_class()) {
      json["shape"] = dataset.shape().ToVector();
      json["pixel_max"] = dataset.pixel_max();
    } else {
      for (const InputSpec& input : dataset.spec().inputs) json["inputs"].push_back(ToJson(input));
      const AnswerSpec& answer = dataset.spec().answer;
      json["answer"] = {{"kind", std::string(SpecOf(answer.kind).name)},
                        {"positions", answer.positions}};
    }
    json["shard_size"] = reference_.shard_size;
    json["shard_count"] = dataset.shard_count();
    json["digest"] = dataset.digest();
    json["left_out"] = nlohmann::ordered_json::array();
    for (const LeftOut& left_out : dataset.left_out()) {
      json["left_out"].push_back({{"what", left_out.what}, {"file_count", left_out.file_count}});
    }
    json["classes_without_training"] = findings.untrained;
    json["test_samples_in_train"] = findings.shared.count;
    json["first_test_samples_in_train"] = nlohmann::ordered_json::array();
    for (const auto& [test, train] : findings.shared.first) {
      json["first_test_samples_in_train"].push_back({{"test", test}, {"train", train}});
    }
    for (const SplitCounts& split : findings.splits) {
      json["splits"].push_back({{"name", split.name}, {"sample_count", split.size}});
      if (!split.counts.empty()) json["splits"].back()["classes"] = split.counts;
    }
    for (size_t i = 0; i < findings.counts.size(); ++i) {
      json["classes"].push_back(
          {{"name", dataset.class_names()[i]}, {"sample_count", findings.counts[i]}});
    }
    AddDetails(dataset, findings, &json);
    return JsonText(json, 2) + "\n";
  }

  static constexpr int64_t kSamplesShown = 3;
  static constexpr size_t kUntrainedShown = 20;
  static constexpr size_t kClassesShown = 50;
  static constexpr size_t kFeaturesShown = 64;

  DatasetReference reference_ = {"", "train", 128};
  std::string data_dir_;
  std::string sheet_path_;
  std::string augmentation_;
  int64_t per_class_ = 12;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDatasetCommand(CommandLine* parent) {
  return std::make_unique<DatasetCommand>(parent);
}

}  // namespace distillery
