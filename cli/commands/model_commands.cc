// distillery model show, predict: a model file from the command line.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/models/sample.h"
#include "cli/models/student_model.h"
#include "cli/terminal/text_table.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class ModelCommand : public Command {
 public:
  explicit ModelCommand(CLI::App* parent)
      : Command(parent, "model", "Look into a model file.",
                "  distillery model show runs/demo/student.pt\n"
                "  distillery model show teacher.pt --card card.json --json") {
    app_->require_subcommand(1);
    CLI::App* const show =
        app_->add_subcommand("show", "Print a model's card, layers, parameters and size.");
    show->add_option("file", path_, "TorchScript file")->required();
    show->add_option("--card", card_path_, "model card (JSON) for a file that carries none");
    show->add_flag("--json", json_, "print it as JSON");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const ModelDescription model, DescribeModel(path_, card_path_));
    std::fputs((json_ ? Json(model) : Text(model)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  std::string Text(const ModelDescription& model) const {
    const ModelCard& card = model.card;
    std::string text = absl::StrFormat(
        "%s\n%s%s, %.1f KB, SHA-256 %s\n\n"
        "architecture  %s\ninput         %s, (pixel - mean) / deviation, pixel 0..1\n"
        "mean          %s\ndeviation     %s\nclasses       %d: %s\noutput        %s\n\n",
        PlainText(path_), DescribeParameters(model.parameter_count, model.frozen_parameter_count),
        model.int8 ? ", int8 weights with a float32 scale per channel" : "",
        static_cast<double>(model.file_bytes) / 1000, model.sha256,
        card.architecture.empty() ? "(made elsewhere)" : PlainText(card.architecture),
        absl::StrJoin(card.input_shape.ToVector(), " x "), absl::StrJoin(card.mean, ", "),
        absl::StrJoin(card.deviation, ", "), card.class_count(),
        absl::StrJoin(card.class_names, ", "),
        card.outputs_probabilities ? "probabilities" : "logits");
    std::vector<std::vector<std::string>> rows = {{"tensor", "shape", "elements"}};
    for (const ModelDescription::Tensor& tensor : model.tensors) {
      const int64_t count = std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1},
                                            std::multiplies<>());
      rows.push_back(
          {absl::StrCat(tensor.name, tensor.buffer ? " (buffer)" : "",
                        tensor.frozen ? " (frozen)" : "", tensor.tied_to.empty() ? "" : " (is ",
                        tensor.tied_to, tensor.tied_to.empty() ? "" : ")"),
           tensor.shape.empty() ? "scalar" : absl::StrJoin(tensor.shape, " x "),
           absl::StrCat(count)});
    }
    return text + FormatTable(rows);
  }

  std::string Json(const ModelDescription& model) const {
    nlohmann::ordered_json json;
    json["file"] = path_;
    json["sha256"] = model.sha256;
    json["file_byte_count"] = model.file_bytes;
    json["parameter_count"] = model.parameter_count;
    json["frozen_parameter_count"] = model.frozen_parameter_count;
    json["int8"] = model.int8;
    json["card"] = nlohmann::ordered_json::parse(ModelCardToJson(model.card));
    for (const ModelDescription::Tensor& tensor : model.tensors) {
      json["tensors"].push_back({{"name", tensor.name},
                                 {"shape", tensor.shape},
                                 {"buffer", tensor.buffer},
                                 {"frozen", tensor.frozen}});
      if (!tensor.tied_to.empty()) json["tensors"].back()["tied_to"] = tensor.tied_to;
    }
    return JsonText(json, 2) + "\n";
  }

  std::string path_;
  std::string card_path_;
  bool json_ = false;
};

class PredictCommand : public Command {
 public:
  explicit PredictCommand(CLI::App* parent)
      : Command(parent, "predict",
                "Let a model say what is in images (PNG, JPEG, PGM): its likeliest classes with "
                "their probabilities. Images are resized to the model's input.",
                "  distillery predict --model runs/demo/student.pt seven.png\n"
                "  distillery predict --model student.pt --top 1 --json *.jpg\n"
                "  distillery predict --model mnist.pt --invert scan.png   (dark ink on light)") {
    app_->add_option("images", images_, "image files")->required();
    app_->add_option("--model", model_path_, "TorchScript file")->required();
    app_->add_option("--card", card_path_, "model card (JSON) for a file that carries none");
    app_->add_option("--top", top_, "classes shown per image")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app_->add_flag("--invert", invert_,
                   "the images are dark on light, the model's data the reverse");
    app_->add_flag("--json", json_, "print the predictions as JSON");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const auto predictor, Predictor::Load(model_path_, card_path_));
    const std::vector<std::string>& names = predictor->card().class_names;
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const std::string& image : images_) {
      DISTILLERY_ASSIGN_OR_RETURN(const Sample sample,
                                  ReadImageSample(image, predictor->card().input_shape, invert_));
      DISTILLERY_ASSIGN_OR_RETURN(const std::vector<float> probabilities,
                                  predictor->Probabilities(sample));
      std::vector<size_t> order(names.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
      order.resize(std::min(order.size(), static_cast<size_t>(top_)));
      std::vector<std::string> shown;
      nlohmann::ordered_json classes;
      for (const size_t i : order) {
        shown.push_back(absl::StrFormat("%s %.2f %%", names[i], 100 * probabilities[i]));
        classes.push_back({{"class", names[i]}, {"probability", probabilities[i]}});
      }
      if (json_) {
        all.push_back({{"image", image}, {"classes", classes}});
      } else {
        Print(stdout, "%s: %s\n", image.c_str(), absl::StrJoin(shown, ", ").c_str());
      }
    }
    if (json_) std::printf("%s\n", JsonText(all, 2).c_str());
    return absl::OkStatus();
  }

 private:
  std::vector<std::string> images_;
  std::string model_path_;
  std::string card_path_;
  int top_ = 3;
  bool invert_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModelCommand(CLI::App* parent) {
  return std::make_unique<ModelCommand>(parent);
}
std::unique_ptr<Command> MakePredictCommand(CLI::App* parent) {
  return std::make_unique<PredictCommand>(parent);
}

}  // namespace distillery
