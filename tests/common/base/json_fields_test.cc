#include "common/base/json_fields.h"

#include <gmock/gmock.h>

#include "tests/common/status_matchers.h"

namespace distillery {

enum class Colour { kRed, kBlue };

struct Point {
  int64_t x = 0;
  std::vector<double> weights;
  std::string label;
};
struct Drawing {
  Colour colour = Colour::kRed;
  std::vector<Point> points;
  std::optional<double> scale;
};

template <typename Fields>
void VisitFields(Fields& fields, Point& point) {
  fields("x", point.x);
  fields("weights", point.weights);
  fields.Optional("label", point.label);
}

template <typename Fields>
void VisitFields(Fields& fields, Drawing& drawing) {
  static const JsonNames<Colour> kNames = {{Colour::kRed, "red"}, {Colour::kBlue, "blue"}};
  fields.OneOf("colour", drawing.colour, kNames);
  fields("points", drawing.points);
  fields.Optional("scale", drawing.scale);
}

namespace {

std::string WhatIsWrong(const std::string& text) {
  const absl::StatusOr<Json> json = ParseJsonObject(text, 8);
  if (!json.ok()) return std::string(json.status().message());
  Drawing drawing;
  absl::Status status;
  ReadJson(*json, JsonPlace{"", &status}, &drawing);
  return std::string(status.message());
}

TEST(JsonFields, OneDescriptionWritesAndReads) {
  const std::string text =
      R"({"colour":"blue","points":[{"x":1,"weights":[0.5,2.0],"label":"a"},{"x":2,"weights":[]}]})";
  ASSERT_OK_AND_ASSIGN(const Json json, ParseJsonObject(text, 8));
  Drawing drawing;
  absl::Status status;
  ReadJson(json, JsonPlace{"", &status}, &drawing);
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(drawing.colour, Colour::kBlue);
  EXPECT_FALSE(drawing.scale.has_value());
  EXPECT_EQ(WriteJson(drawing).dump(), text);
}

TEST(JsonFields, AKeyThatIsThereTwiceIsRefused) {
  EXPECT_EQ(WhatIsWrong(R"({"points": [], "colour": "red", "points": []})"),
            "key \"points\" is there twice");
  EXPECT_EQ(WhatIsWrong(R"({"points": [{"x": 1, "x": 1, "weights": []}], "colour": "red"})"),
            "key \"x\" is there twice");
  EXPECT_EQ(
      WhatIsWrong(
          R"({"points": [{"x": 1, "weights": []}, {"x": 1, "weights": []}], "colour": "red"})"),
      "");
  EXPECT_EQ(ParseJsonObject(R"({"a": {"b": 1, "b": 2}})", 1).status().code(),
            absl::StatusCode::kOk);
}

TEST(JsonFields, ErrorsNameThePlace) {
  EXPECT_EQ(WhatIsWrong("[]"), "the text is not a JSON object");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "green"})"), "colour must be red or blue");
  EXPECT_EQ(WhatIsWrong(R"({"points": []})"), "colour is missing");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red"})"), "points is missing");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": 1})"), "points must be a list");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": [7]})"), "points[0] must be an object");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": [{"x": 0.5, "weights": []}]})"),
            "points[0].x must be a whole number");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": [{"x": 1, "weights": [1, "2"]}]})"),
            "points[0].weights must hold numbers, in a list");
}

TEST(JsonFields, UnknownKeysComeFirstWithTheNearest) {
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": [{"x": "", "wieghts": []}]})"),
            "points[0].wieghts is no key here; did you mean \"weights\"?");
  EXPECT_EQ(WhatIsWrong(R"({"colour": "red", "points": [], "background": 1})"),
            "background is no key here");
}

}  // namespace
}  // namespace distillery
