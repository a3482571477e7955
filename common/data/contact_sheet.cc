#include "common/data/contact_sheet.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/mask_picture.h"
#include "common/data/numbers.h"
#include "common/data/pixels.h"
#include "common/data/sound_picture.h"

namespace distillery {
namespace {

constexpr uint8_t kLineShade = 128;
// Keeps the products below from overflowing; far beyond what fits on a sheet.
constexpr int64_t kMaxOption = int64_t{1} << 20;

// Where samples of one shape go on the sheet.
struct Grid {
  ImageShape sample;
  // Each pixel of a sample becomes zoom x zoom pixels.
  int64_t zoom = 1;
  int pixel_max = 255;

  // From one sample to the next, with the line between.
  int64_t step_down() const { return sample.height * zoom + 1; }
  int64_t step_across() const { return sample.width * zoom + 1; }
};

void Draw(const uint8_t* pixels, const Grid& grid, int64_t row, int64_t column, Image* sheet) {
  const int64_t top = row * grid.step_down();
  const int64_t left = column * grid.step_across();
  for (int64_t channel = 0; channel < grid.sample.channels; ++channel) {
    for (int64_t y = 0; y < grid.sample.height * grid.zoom; ++y) {
      const uint8_t* const from =
          pixels + (channel * grid.sample.height + y / grid.zoom) * grid.sample.width;
      uint8_t* const to =
          &sheet->pixels[(channel * sheet->shape.height + top + y) * sheet->shape.width + left];
      for (int64_t x = 0; x < grid.sample.width * grid.zoom; ++x) {
        const int value = (from[x / grid.zoom] * 255 + grid.pixel_max / 2) / grid.pixel_max;
        to[x] = static_cast<uint8_t>(std::min(value, 255));
      }
    }
  }
}

absl::StatusOr<Image> BlankSheet(const Grid& grid, int64_t rows, int64_t columns) {
  const ImageShape shape{grid.sample.channels, rows * grid.step_down() - 1,
                         columns * grid.step_across() - 1};
  const absl::Status size = CheckImageSize(shape.height, shape.width, "the contact sheet");
  if (!size.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(size.message(), "; ask for fewer columns, rows or classes"));
  }
  return Image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()), kLineShade)};
}

// The class of each pixel, from the end of a record.
std::vector<int64_t> MaskOf(const uint8_t* label, int64_t pixels) {
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < pixels; ++i) {
    int32_t one = 0;
    std::memcpy(&one, label + i * int64_t{sizeof one}, sizeof one);
    classes.push_back(one);
  }
  return classes;
}

std::vector<uint8_t> PixelsOfSound(const SampleSpec& spec, const uint8_t* record) {
  std::vector<float> numbers(static_cast<size_t>(spec.inputs[0].elements()));
  std::memcpy(numbers.data(), record, numbers.size() * sizeof(float));
  return DrawSound(spec, numbers.data()).pixels;
}

// Pictures that are not in classes.
absl::StatusOr<Image> DrawInOrder(const Dataset& dataset, const ContactSheetOptions& options,
                                  Grid grid) {
  const AnswerSpec& answer = dataset.spec().answer;
  const ImageShape shape = grid.sample;
  const bool masks = answer.kind == AnswerKind::kClasses &&
                     answer.positions == std::vector<int64_t>{shape.height, shape.width};
  if (masks) grid.sample.channels = 3;
  const int64_t count = std::min(dataset.size(), options.columns * kMostSheetRows);
  DISTILLERY_ASSIGN_OR_RETURN(
      Image sheet,
      BlankSheet(grid, (count + options.columns - 1) / options.columns, options.columns));
  std::vector<uint8_t> record(static_cast<size_t>(dataset.record_bytes()));
  for (int64_t row = 0; row < count; ++row) {
    DISTILLERY_RETURN_IF_ERROR(dataset.ReadRecord(row, record.data()));
    Image picture{shape, {record.begin(), record.begin() + shape.size()}};
    Grid place = grid;
    if (masks) {
      for (uint8_t& pixel : picture.pixels) {
        const int value = (pixel * 255 + grid.pixel_max / 2) / grid.pixel_max;
        pixel = static_cast<uint8_t>(std::min(value, 255));
      }
      picture = DrawMask(
          picture, MaskOf(&record[static_cast<size_t>(shape.size())], shape.height * shape.width));
      place.pixel_max = 255;
    }
    Draw(picture.pixels.data(), place, row / options.columns, row % options.columns, &sheet);
  }
  return sheet;
}

}  // namespace

absl::StatusOr<Image> MakeContactSheet(const Dataset& dataset, const ContactSheetOptions& options) {
  for (const auto& [name, value] :
       {std::pair{"columns", options.columns}, std::pair{"rows_per_class", options.rows_per_class},
        std::pair{"min_sample_side", options.min_sample_side},
        std::pair{"max_classes", options.max_classes + 1}}) {
    if (value < 1 || value > kMaxOption) {
      return absl::InvalidArgumentError(absl::StrCat("contact sheet: ", name, " is out of range"));
    }
  }
  const bool sound = IsSound(dataset.spec()) && dataset.spec().answer.one_class();
  if (!dataset.spec().is_picture() && !sound) {
    return absl::InvalidArgumentError(
        absl::StrCat("a contact sheet shows pictures, and sound by class; data set ",
                     dataset.reference().name, " is ", dataset.spec().ToString()));
  }
  const ImageShape sample = sound ? SoundPictureShape(dataset.spec()) : dataset.shape();
  if (sample.channels != 1 && sample.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("contact sheet: images have 1 or 3 channels, those of ",
                     dataset.reference().name, " have ", sample.channels));
  }
  const int64_t longer = std::max(sample.height, sample.width);
  Grid grid{sample, (options.min_sample_side + longer - 1) / longer,
            sound ? 255 : dataset.pixel_max()};
  DISTILLERY_RETURN_IF_ERROR(CheckView(dataset, {options.augmentation, options.seed, 0}));
  if (!dataset.spec().answer.one_class()) {
    if (options.augmentation.identity()) return DrawInOrder(dataset, options, grid);
    return absl::InvalidArgumentError("views are drawn of samples with one class each");
  }
  const int64_t classes = options.max_classes == 0
                              ? dataset.class_count()
                              : std::min(options.max_classes, dataset.class_count());
  DISTILLERY_ASSIGN_OR_RETURN(Image sheet,
                              BlankSheet(grid, classes * options.rows_per_class, options.columns));
  const int64_t per_class = options.columns * options.rows_per_class;
  const bool views = !options.augmentation.identity();
  std::vector<int64_t> drawn(static_cast<size_t>(classes));
  std::vector<uint8_t> record(static_cast<size_t>(dataset.record_bytes()));
  std::vector<uint8_t> pixels;
  for (int64_t row = 0; row < dataset.size(); ++row) {
    const int32_t label = dataset.Label(row);
    if (label >= classes || drawn[label] == per_class) continue;
    for (const int64_t end = views ? per_class : drawn[label] + 1; drawn[label] < end;) {
      const int64_t place = drawn[label]++;
      const View view =
          views && place > 0 ? View{options.augmentation, options.seed, place - 1} : View{};
      DISTILLERY_RETURN_IF_ERROR(LoadRecords(dataset, {row}, view, record.data()));
      if (sound) pixels = PixelsOfSound(dataset.spec(), record.data());
      Draw(sound ? pixels.data() : record.data(), grid,
           label * options.rows_per_class + place / options.columns, place % options.columns,
           &sheet);
    }
  }
  return sheet;
}

}  // namespace distillery
