// distillery predict: what a model says of samples.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/models/answer_view.h"
#include "cli/models/sample.h"
#include "cli/models/sample_input.h"
#include "cli/models/sample_text.h"
#include "cli/models/student_model.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/catalog.h"
#include "common/data/png_file.h"
#include "common/data/sound_file.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class PredictCommand : public Command {
 public:
  explicit PredictCommand(CommandLine* parent)
      : Command(parent, "predict",
                "Let a model say what it makes of samples: its likeliest classes with their "
                "probabilities, its labels or its values, at each position if it has them. Samples "
                "are images (PNG, JPEG, PGM), which are resized to the model's input; texts; rows "
                "of a table; or those of a data set.",
                "  distillery predict --model runs/demo/student.pt seven.png\n"
                "  distillery predict --model student.pt --top 1 --json *.jpg\n"
                "  distillery predict --model mnist.pt --invert scan.png   (dark ink on light)\n"
                "  distillery predict --model text.pt --text \"To be or not\"\n"
                "  distillery predict --model wine.pt --dataset wine --data-dir data new.csv\n"
                "  distillery predict --model cells.pt photo.png --mask-dir masks\n"
                "  distillery predict --model wine.pt --dataset wine --data-dir data --index 3") {
    line_.Add(
        "images", files_,
        "image files; for models of other samples .csv with a header, .txt with a text on "
        "each line, .jsonl with an object of its inputs on each line, or a recording (.wav, .flac, "
        ".ogg ...)");
    line_.Add("--model", model_path_, "TorchScript file").Required();
    line_.Add("--card", card_path_, "model card (JSON) for a file that carries none");
    line_.Add("--text", texts_, "a text; may be repeated");
    line_.Add("--row", rows_,
              "a sample as numbers with commas between them, or as a JSON object of its inputs; "
              "may be repeated");
    line_.Add(
        "--dataset", dataset_,
        "data set of --index; its train.csv says what the columns of a .csv file are, and its "
        "dataset.json what a recording becomes");
    line_.Add("--split", split_, "train, test, fit or validation").ShowDefault();
    line_.Add("--index", indexes_, "position of a sample in the split's order; may be repeated");
    line_.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    line_.Add("--top", top_, "classes shown per image, text, row or token")
        .Between(1, 1'000'000)
        .ShowDefault();
    line_.Add("--invert", invert_, "the images are dark on light, the model's data the reverse");
    line_.Add("--mask-dir", mask_dir_,
              "folder for a PNG of each sample with the likeliest class of each pixel over it");
    line_.Add("--json", json_, "print the predictions as JSON");
  }

  absl::Status Run() override {
    DISTILLERY_RETURN_IF_ERROR(CheckFlags());
    DISTILLERY_ASSIGN_OR_RETURN(const auto predictor, Predictor::Load(model_path_, card_path_));
    const SampleSpec& takes = predictor->card().samples;
    if (!mask_dir_.empty()) {
      DISTILLERY_RETURN_IF_ERROR(Annotate(CheckDrawable(takes.answer), "--mask-dir"));
      DISTILLERY_RETURN_IF_ERROR(MakeFolders(mask_dir_));
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    const auto predict = [&](Sample sample, const std::string& name, bool image) -> absl::Status {
      AnswerView view;
      view.answer = takes.answer;
      view.class_names = predictor->card().class_names;
      DISTILLERY_ASSIGN_OR_RETURN(std::vector<float> numbers, predictor->Answer(sample));
      view.answers.push_back({1, std::move(numbers)});
      view.sample = std::move(sample);
      DISTILLERY_RETURN_IF_ERROR(DrawMaskOf(view));
      if (image && takes.answer.one_class()) return ShowClasses(view, name, &all);
      if (json_) {
        all.push_back(JsonOf(view, name));
      } else {
        ShowText(view, name);
      }
      return absl::OkStatus();
    };
    DISTILLERY_RETURN_IF_ERROR(PredictAll(*predictor, predict));
    if (json_) std::printf("%s\n", JsonText(all, 2).c_str());
    return absl::OkStatus();
  }

 private:
  absl::Status CheckFlags() const {
    if (files_.empty() && texts_.empty() && rows_.empty() && indexes_.empty()) {
      return absl::InvalidArgumentError(
          "give image files, or --text, --row, a .csv, .jsonl or .txt file, or --dataset with "
          "--index");
    }
    if (!indexes_.empty() && dataset_.empty()) {
      return absl::InvalidArgumentError("--index needs --dataset");
    }
    return absl::OkStatus();
  }

  template <typename Predict>
  absl::Status PredictAll(const Predictor& predictor, const Predict& predict) const {
    const SampleSpec& takes = predictor.card().samples;
    const std::string folder = dataset_.empty() ? "" : absl::StrCat(data_dir_, "/", dataset_);
    for (const std::string& file : files_) {
      if (HasSoundExtension(file)) {
        DISTILLERY_ASSIGN_OR_RETURN(Sample sample, ReadSoundSample(file, takes, folder));
        DISTILLERY_RETURN_IF_ERROR(predict(std::move(sample), file, /*image=*/false));
        continue;
      }
      if (takes.is_picture() || !IsSampleFile(file)) {
        DISTILLERY_ASSIGN_OR_RETURN(Sample sample, ReadImageSample(file, takes, invert_));
        DISTILLERY_RETURN_IF_ERROR(predict(std::move(sample), file, /*image=*/true));
        continue;
      }
      DISTILLERY_ASSIGN_OR_RETURN(std::vector<Sample> samples, ReadSampleFile(file, takes, folder));
      for (Sample& sample : samples) {
        const std::string name = sample.name;
        DISTILLERY_RETURN_IF_ERROR(predict(std::move(sample), name, /*image=*/false));
      }
    }
    for (const std::string& text : texts_) {
      absl::StatusOr<Sample> sample = MakeTextSample(text, takes);
      if (!sample.ok()) return Annotate(sample.status(), "--text");
      const std::string name = absl::StrCat("text", sample->name.empty() ? "" : " ", sample->name);
      DISTILLERY_RETURN_IF_ERROR(predict(*std::move(sample), name, /*image=*/false));
    }
    for (const std::string& row : rows_) {
      absl::StatusOr<Sample> sample = MakeRowSample(row, takes);
      if (!sample.ok()) return Annotate(sample.status(), "--row");
      DISTILLERY_RETURN_IF_ERROR(predict(*std::move(sample), "row", /*image=*/false));
    }
    if (indexes_.empty()) return absl::OkStatus();
    DatasetCatalog catalog(data_dir_);
    DISTILLERY_ASSIGN_OR_RETURN(const auto data, catalog.Open({dataset_, split_, 1000}));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckFits(predictor.card(), *data), model_path_));
    DISTILLERY_ASSIGN_OR_RETURN(std::vector<Sample> samples,
                                ReadSamplesOf(*data, data_dir_, indexes_, takes.inputs));
    for (Sample& sample : samples) {
      const std::string name = sample.name;
      DISTILLERY_RETURN_IF_ERROR(predict(std::move(sample), name, /*image=*/false));
    }
    return absl::OkStatus();
  }

  // An image in classes, as it has always been shown.
  absl::Status ShowClasses(const AnswerView& view, const std::string& image,
                           nlohmann::ordered_json* all) const {
    const std::vector<float>& probabilities = view.answers.front().numbers;
    if (!json_) {
      Print(stdout, "%s: %s\n", image.c_str(),
            PositionText(view, probabilities.data(), static_cast<size_t>(top_)).c_str());
      return absl::OkStatus();
    }
    all->push_back({{"image", image}, {"classes", Best(view, probabilities.data())}});
    return absl::OkStatus();
  }

  nlohmann::ordered_json Best(const AnswerView& view, const float* numbers) const {
    std::vector<size_t> order(view.class_names.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return numbers[a] > numbers[b]; });
    order.resize(std::min(order.size(), static_cast<size_t>(top_)));
    nlohmann::ordered_json classes;
    for (const size_t i : order) {
      classes.push_back({{"class", view.class_names[i]}, {"probability", numbers[i]}});
    }
    return classes;
  }

  nlohmann::ordered_json JsonOf(const AnswerView& view, const std::string& name) const {
    nlohmann::ordered_json json = {{"sample", name}};
    const float* const numbers = view.answers.front().numbers.data();
    const AnswerSpec& answer = view.answer;
    if (answer.positions.empty() && answer.kind != AnswerKind::kValues) {
      json[answer.kind == AnswerKind::kClasses ? "classes" : "labels"] = Best(view, numbers);
      return json;
    }
    const nlohmann::ordered_json whole = AnswerToJson(view);
    for (const char* const key : {"inputs", "answer", "class_names", "label", "labels"}) {
      if (whole.contains(key)) json[key] = whole[key];
    }
    if (answer.kind == AnswerKind::kValues) {
      json["values"] = whole["values"];
    } else {
      json["probabilities"] = whole["soft_targets"][0]["probabilities"];
      if (answer.kind == AnswerKind::kClasses) json["choices"] = view.Choices();
    }
    return json;
  }

  void ShowText(const AnswerView& view, const std::string& name) const {
    const std::string label = DescribeLabel(view.sample);
    if (view.answer.positions.empty()) {
      const size_t most = view.answer.kind == AnswerKind::kMultilabel ? view.class_names.size()
                                                                      : static_cast<size_t>(top_);
      Print(stdout, "%s: %s%s\n", name.c_str(),
            PositionText(view, view.answers.front().numbers.data(), most).c_str(),
            label.empty() ? std::string() : absl::StrCat(" (label: ", label, ")"));
      return;
    }
    Print(stdout, "%s\n", name.c_str());
    std::fputs(
        absl::StrCat(DescribeInputs(view.sample, /*feature_lines=*/false), AnswerText(view), "\n")
            .c_str(),
        stdout);
  }

  absl::Status DrawMaskOf(const AnswerView& view) {
    if (mask_dir_.empty()) return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const Image picture, DrawAnswer(view));
    DISTILLERY_ASSIGN_OR_RETURN(const std::string png, EncodePng(picture));
    std::string file = view.sample.name;
    std::replace_if(
        file.begin(), file.end(), [](char c) { return c == '/' || c == ' '; }, '-');
    if (file.empty()) file = "row";
    if (absl::EndsWith(file, ".png")) file.resize(file.size() - 4);
    // Files of one name may come from several folders.
    std::string name = file;
    for (int n = 2; !masks_.insert(name).second; ++n) name = absl::StrCat(file, "-", n);
    return WriteFileDurably(absl::StrCat(mask_dir_, "/", name, ".png"), png);
  }

  std::vector<std::string> files_;
  std::vector<std::string> texts_;
  std::vector<std::string> rows_;
  std::vector<int64_t> indexes_;
  std::string model_path_;
  std::string card_path_;
  std::string dataset_;
  std::string split_ = "test";
  std::string data_dir_;
  std::string mask_dir_;
  // Names of the masks that were written.
  std::set<std::string> masks_;
  int top_ = 3;
  bool invert_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePredictCommand(CommandLine* parent) {
  return std::make_unique<PredictCommand>(parent);
}

}  // namespace distillery
