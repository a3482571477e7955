// distillery predict: what a model says of images.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"
#include "cli/models/sample.h"
#include "cli/models/student_model.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class PredictCommand : public Command {
 public:
  explicit PredictCommand(CommandLine* parent)
      : Command(parent, "predict",
                "Let a model say what is in images (PNG, JPEG, PGM): its likeliest classes with "
                "their probabilities. Images are resized to the model's input.",
                "  distillery predict --model runs/demo/student.pt seven.png\n"
                "  distillery predict --model student.pt --top 1 --json *.jpg\n"
                "  distillery predict --model mnist.pt --invert scan.png   (dark ink on light)") {
    line_.Add("images", images_, "image files").Required();
    line_.Add("--model", model_path_, "TorchScript file").Required();
    line_.Add("--card", card_path_, "model card (JSON) for a file that carries none");
    line_.Add("--top", top_, "classes shown per image").Between(1, 1'000'000).ShowDefault();
    line_.Add("--invert", invert_, "the images are dark on light, the model's data the reverse");
    line_.Add("--json", json_, "print the predictions as JSON");
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

std::unique_ptr<Command> MakePredictCommand(CommandLine* parent) {
  return std::make_unique<PredictCommand>(parent);
}

}  // namespace distillery
