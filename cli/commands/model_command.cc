// distillery model show: what a model file holds.
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/models/student_model.h"
#include "cli/terminal/text_table.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class ModelCommand : public Command {
 public:
  explicit ModelCommand(CommandLine* parent)
      : Command(parent, "model", "Look into a model file.",
                "  distillery model show runs/demo/student.pt\n"
                "  distillery model show teacher.pt --card card.json --json") {
    line_.RequireCommand();
    CommandLine show =
        line_.AddCommand("show", "Print a model's card, layers, parameters and size.");
    show.Add("file", path_, "TorchScript file").Required();
    show.Add("--card", card_path_, "model card (JSON) for a file that carries none");
    show.Add("--json", json_, "print it as JSON");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const ModelDescription model, DescribeModel(path_, card_path_));
    std::fputs((json_ ? Json(model) : Text(model)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  static std::string TextOfInputs(const SampleSpec& samples) {
    if (!samples.is_picture()) return samples.ToString();
    return absl::StrCat(absl::StrJoin(samples.picture_shape().ToVector(), " x "),
                        ", (pixel - mean) / deviation, pixel 0..1");
  }
  std::string Text(const ModelDescription& model) const {
    const ModelCard& card = model.card;
    std::string text = absl::StrFormat(
        "%s\n%s%s, %.1f KB, SHA-256 %s\n\n"
        "architecture  %s\ninput         %s\n"
        "mean          %s\ndeviation     %s\n%-13s %d: %s\noutput        %s\n\n",
        PlainText(path_), DescribeParameters(model.parameter_count, model.frozen_parameter_count),
        model.int8 ? ", int8 weights with a float32 scale per channel" : "",
        static_cast<double>(model.file_bytes) / 1000, model.sha256,
        card.architecture.empty() ? "(made elsewhere)" : PlainText(card.architecture),
        TextOfInputs(card.samples), absl::StrJoin(card.mean, ", "),
        absl::StrJoin(card.deviation, ", "), SpecOf(card.samples.answer.kind).noun,
        card.class_count(), absl::StrJoin(card.class_names, ", "),
        card.samples.answer.kind == AnswerKind::kValues ? "values"
        : card.outputs_probabilities                    ? "probabilities"
                                                        : "logits");
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

}  // namespace

std::unique_ptr<Command> MakeModelCommand(CommandLine* parent) {
  return std::make_unique<ModelCommand>(parent);
}

}  // namespace distillery
