// distillery query: what a running teacher thinks of one sample, at several temperatures.
#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/commands/command.h"
#include "cli/models/answer_view.h"
#include "cli/models/sample.h"
#include "cli/models/sample_input.h"
#include "cli/models/sample_text.h"
#include "cli/runs/teacher_query.h"
#include "cli/terminal/soft_target_view.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/png_file.h"
#include "common/data/sound_file.h"
#include "common/data/sound_picture.h"
#include "common/model/card.h"
#include "common/rpc/transport_flags.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// Whether the sample is made as the teacher takes it; what pixels are stored as says nothing.
absl::Status CheckTakes(const SampleSpec& teacher, const SampleSpec& sample,
                        const std::string& name) {
  // The service says what is wrong with a picture's size.
  if (teacher.is_picture() && sample.is_picture()) return absl::OkStatus();
  const auto plain = [](InputSpec input) {
    input.pixel_max = input.is_picture() ? UINT8_MAX : 0;
    return input;
  };
  bool same = teacher.inputs.size() == sample.inputs.size();
  for (size_t i = 0; same && i < sample.inputs.size(); ++i) {
    same = plain(teacher.inputs[i]) == plain(sample.inputs[i]);
  }
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the teacher takes ", teacher.ToString(), "; ",
                                                 name, " is ", sample.ToString()));
}

class QueryCommand : public Command {
 public:
  explicit QueryCommand(CommandLine* parent)
      : Command(parent, "query",
                "Ask a running teacher for the soft targets of one sample, as numbers and bars: a "
                "sample of a data set by its index, an image file, a text, or a row of a table.",
                "  distillery query --index 12\n"
                "  distillery query photo.png --temperature 1 --temperature 20\n"
                "  distillery query --dataset mnist --data-dir data --index 5 --svg five.svg\n"
                "  distillery query --text \"To be, or not\"\n"
                "  distillery query --dataset cells --data-dir data --index 3 --png mask.png") {
    line_.Add(
        "image", image_path_,
        "a picture, resized to the teacher's input; or a recording (.wav, .flac, .ogg ...), made "
        "into a sample as --dataset says");
    line_.Add("--text", text_, "a text, for a teacher that takes bytes");
    line_.Add("--row", row_,
              "a sample as numbers with commas between them, or as a JSON object of its inputs");
    line_.Add("--invert", invert_, "the image is dark on light, the teacher's data the reverse");
    line_.Add("--dataset", dataset_, "data set of the sample").ShowDefault();
    line_.Add("--split", split_, "train, test, fit or validation").ShowDefault();
    line_.Add("--index", index_, "position of the sample in the split's order");
    line_.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    line_.Add("--temperature,-T", temperatures_, "softmax temperature; may be repeated")
        .ShowDefault();
    line_.Add("--teacher", address_, "the teacher service, HOST:PORT").ShowDefault();
    line_.Add("--svg", svg_path_, "also draw the bars into this SVG file");
    line_.Add("--png", png_path_,
              "also draw the likeliest class of each pixel over the picture, or the sound and its "
              "spectrogram, into this PNG file");
    line_.Add("--json", json_, "print the numbers as JSON");
    AddTransportFlags(&line_, &transport_);
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    const int given = (image_path_.empty() ? 0 : 1) + (index_ < 0 ? 0 : 1) +
                      (text_.empty() ? 0 : 1) + (row_.empty() ? 0 : 1);
    if (given != 1) {
      return absl::InvalidArgumentError(
          "give either an image file or --index of a sample, or --text, or --row");
    }
    DISTILLERY_ASSIGN_OR_RETURN(const TeacherQuery teacher,
                                TeacherQuery::Connect(address_, transport_));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Teacher about, teacher.Describe());
    DISTILLERY_ASSIGN_OR_RETURN(const SampleSpec takes, SamplesOf(about));
    AnswerView view;
    view.answer = takes.answer;
    view.class_names.assign(about.class_names().begin(), about.class_names().end());
    DISTILLERY_RETURN_IF_ERROR(CheckPictures(takes));
    DISTILLERY_ASSIGN_OR_RETURN(view.sample, ReadSample(takes));
    DISTILLERY_RETURN_IF_ERROR(CheckTakes(takes, view.sample.spec, view.sample.name));
    if (index_ >= 0) {
      DISTILLERY_RETURN_IF_ERROR(
          CheckSameClasses({"the teacher", view.class_names},
                           {absl::StrCat("data set ", dataset_), view.sample.class_names}));
    }
    // Labels of another kind of answer say nothing of this one.
    if (!(view.sample.spec.answer == view.answer)) {
      view.sample.labels.clear();
      view.sample.label_numbers.clear();
      view.sample.spec.answer = view.answer;
    }
    const bool values = view.answer.kind == AnswerKind::kValues;
    for (const double temperature : temperatures_) {
      DISTILLERY_ASSIGN_OR_RETURN(std::vector<float> numbers,
                                  teacher.Ask(about, view.sample, temperature));
      view.answers.push_back({temperature, std::move(numbers)});
      if (values) break;  // they have no temperature
    }
    return Show(view);
  }

 private:
  // Bars show one answer with its classes, or labels.
  static bool HasBars(const AnswerSpec& answer) {
    return answer.positions.empty() && answer.kind != AnswerKind::kValues;
  }

  absl::Status CheckPictures(const SampleSpec& takes) const {
    const AnswerSpec& answer = takes.answer;
    if (!svg_path_.empty() && !HasBars(answer)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--svg draws one answer of classes or labels; the teacher's answer is ",
          SpecOf(answer.kind).name, answer.positions.empty() ? "" : " at each of its positions"));
    }
    if (png_path_.empty() || IsSound(takes)) return absl::OkStatus();
    return Annotate(CheckDrawable(answer), "--png");
  }

  absl::Status Show(const AnswerView& view) const {
    if (!png_path_.empty()) {
      Image picture;
      if (IsSound(view.sample.spec)) {
        picture = DrawSound(view.sample.spec,
                            std::get<std::vector<float>>(view.sample.inputs.front()).data());
      } else {
        DISTILLERY_ASSIGN_OR_RETURN(picture, DrawAnswer(view));
      }
      DISTILLERY_ASSIGN_OR_RETURN(const std::string png, EncodePng(picture));
      DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(png_path_, png));
    }
    const bool first_kind = view.sample.spec.is_picture() && view.answer.one_class();
    if (!HasBars(view.answer)) {
      if (json_) return PrintJson(AnswerToJson(view));
      std::fputs(absl::StrCat(About(view.sample), "\n", AnswerText(view)).c_str(), stdout);
      return absl::OkStatus();
    }
    SoftTargetView bars;
    bars.sample = view.sample.name;
    bars.class_names = view.class_names;
    bars.label = view.sample.label();
    bars.right = view.sample.label_numbers;
    for (const Answer& answer : view.answers) {
      bars.rows.push_back({answer.temperature, answer.numbers});
    }
    if (!svg_path_.empty()) {
      DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(svg_path_, FormatSvg(bars)));
    }
    if (json_ && !first_kind) return PrintJson(AnswerToJson(view));
    if (!first_kind) bars.sample = std::string(absl::StripSuffix(About(view.sample), "\n"));
    std::fputs((json_ ? ViewToJson(bars) : FormatBars(bars)).c_str(), stdout);
    return absl::OkStatus();
  }

  static std::string About(const Sample& sample) {
    return absl::StrCat(PlainText(sample.name), "\n",
                        DescribeInputs(sample, /*feature_lines=*/true));
  }

  static absl::Status PrintJson(const nlohmann::ordered_json& json) {
    std::fputs((JsonText(json, 2) + "\n").c_str(), stdout);
    return absl::OkStatus();
  }

  absl::StatusOr<Sample> ReadSample(const SampleSpec& takes) const {
    if (index_ >= 0) {
      return ReadDatasetSample(dataset_, split_, data_dir_, index_, takes.inputs);
    }
    if (HasSoundExtension(image_path_)) {
      return ReadSoundSample(image_path_, takes, absl::StrCat(data_dir_, "/", dataset_));
    }
    if (!image_path_.empty()) return ReadImageSample(image_path_, takes, invert_);
    absl::StatusOr<Sample> sample =
        text_.empty() ? MakeRowSample(row_, takes) : MakeTextSample(text_, takes);
    if (!sample.ok()) return Annotate(sample.status(), text_.empty() ? "--row" : "--text");
    sample->name =
        absl::StrCat(text_.empty() ? "row" : "text", sample->name.empty() ? "" : " ", sample->name);
    return sample;
  }

  std::string image_path_;
  std::string text_;
  std::string row_;
  std::string dataset_ = "digits";
  std::string split_ = "test";
  std::string data_dir_;
  std::string address_ = "127.0.0.1:7001";
  std::string svg_path_;
  std::string png_path_;
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
