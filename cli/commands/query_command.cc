// distillery query: what a running teacher thinks of one image, at several temperatures.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands/command.h"
#include "cli/models/sample.h"
#include "cli/runs/teacher_query.h"
#include "cli/terminal/soft_target_view.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/card.h"
#include "common/rpc/transport_flags.h"

namespace distillery {
namespace {

class QueryCommand : public Command {
 public:
  explicit QueryCommand(CommandLine* parent)
      : Command(parent, "query",
                "Ask a running teacher for the soft targets of one image, as numbers and bars: a "
                "sample of a data set by its index, or an image file.",
                "  distillery query --index 12\n"
                "  distillery query photo.png --temperature 1 --temperature 20\n"
                "  distillery query --dataset mnist --data-dir data --index 5 --svg five.svg") {
    line_.Add("image", image_path_, "PNG, JPEG or PGM file; resized to the teacher's input");
    line_.Add("--invert", invert_, "the image is dark on light, the teacher's data the reverse");
    line_.Add("--dataset", dataset_, "data set of the sample").ShowDefault();
    line_.Add("--split", split_, "train, test, fit or validation").ShowDefault();
    line_.Add("--index", index_, "position of the sample in the split's order");
    line_.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    line_.Add("--temperature,-T", temperatures_, "softmax temperature; may be repeated")
        .ShowDefault();
    line_.Add("--teacher", address_, "the teacher service, HOST:PORT").ShowDefault();
    line_.Add("--svg", svg_path_, "also draw the bars into this SVG file");
    line_.Add("--json", json_, "print the numbers as JSON");
    AddTransportFlags(&line_, &transport_);
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    if (image_path_.empty() == (index_ < 0)) {
      return absl::InvalidArgumentError("give either an image file or --index of a sample");
    }
    DISTILLERY_ASSIGN_OR_RETURN(const TeacherQuery teacher,
                                TeacherQuery::Connect(address_, transport_));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Teacher about, teacher.Describe());
    DISTILLERY_ASSIGN_OR_RETURN(const Sample sample, ReadSample(about));
    SoftTargetView view;
    view.sample = sample.name;
    view.class_names.assign(about.class_names().begin(), about.class_names().end());
    view.label = sample.label;
    if (view.label.has_value()) {
      DISTILLERY_RETURN_IF_ERROR(
          CheckSameClasses({"the teacher", view.class_names},
                           {absl::StrCat("data set ", dataset_), sample.class_names}));
    }
    for (const double temperature : temperatures_) {
      DISTILLERY_ASSIGN_OR_RETURN(std::vector<float> probabilities,
                                  teacher.Probabilities(sample, temperature));
      view.rows.push_back({temperature, std::move(probabilities)});
    }
    if (!svg_path_.empty()) {
      DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(svg_path_, FormatSvg(view)));
    }
    std::fputs((json_ ? ViewToJson(view) : FormatBars(view)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Sample> ReadSample(const v1::Teacher& about) const {
    if (image_path_.empty()) return ReadDatasetSample(dataset_, split_, data_dir_, index_);
    if (about.input_shape_size() != 3) {
      return absl::FailedPreconditionError("the teacher's input is no image");
    }
    return ReadImageSample(
        image_path_, {about.input_shape(0), about.input_shape(1), about.input_shape(2)}, invert_);
  }

  std::string image_path_;
  std::string dataset_ = "digits";
  std::string split_ = "test";
  std::string data_dir_;
  std::string address_ = "127.0.0.1:7001";
  std::string svg_path_;
  int64_t index_ = -1;
  std::vector<double> temperatures_ = {1, 3, 10, 100};
  bool invert_ = false;
  bool json_ = false;
  TransportOptions transport_;
};

}  // namespace

std::unique_ptr<Command> MakeQueryCommand(CommandLine* parent) {
  return std::make_unique<QueryCommand>(parent);
}

}  // namespace distillery
