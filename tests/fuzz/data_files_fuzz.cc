// Any bytes as a data file: each reader of common/data that takes bytes.
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/descriptor.h"
#include "common/base/input_file.h"
#include "common/data/cifar.h"
#include "common/data/digits.h"
#include "common/data/gzip.h"
#include "common/data/idx.h"
#include "common/data/image_file.h"
#include "common/data/image_folder.h"
#include "common/data/npy.h"
#include "common/data/png_file.h"
#include "common/data/tar.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

// Each member lies in the archive, after the one before it.
void ReadTar(absl::string_view bytes) {
  const Descriptor descriptor(memfd_create("fuzz", MFD_CLOEXEC));
  Require(write(descriptor.get(), bytes.data(), bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
  const auto file = InputFile::Open(absl::StrCat("/proc/self/fd/", descriptor.get()));
  Require(file.ok());
  TarReader reader(*file, "fuzz");
  int64_t end = 0;
  while (true) {
    const auto member = reader.Next();
    if (!member.ok()) return Require(!member.status().message().empty());
    if (!member->has_value()) return;
    Require((*member)->offset >= end + 512 && (*member)->bytes >= 0);
    end = (*member)->offset + (*member)->bytes;
    Require(end <= static_cast<int64_t>(bytes.size()));
  }
}

void TestOneInput(absl::string_view bytes) {
  constexpr char kName[] = "fuzz";
  switch (TakeByte(&bytes) % 10) {
    case 0: {
      absl::string_view elements;
      const auto sizes = ParseIdx(bytes, 3, kName, &elements);
      if (!sizes.ok()) break;
      int64_t product = 1;
      for (const int64_t size : *sizes) product *= size;
      Require(product == static_cast<int64_t>(elements.size()));
      break;
    }
    case 1: {
      const auto samples = ParseDigitsCsv(bytes);
      if (!samples.ok()) break;
      const int64_t pixels = samples->size() * samples->shape().size();
      Require(pixels == static_cast<int64_t>(samples->records.size()));
      break;
    }
    case 2: {
      constexpr int64_t kMost = 1 << 20;
      const auto text = GunzipBytes(bytes, kMost, kName);
      if (text.ok()) Require(static_cast<int64_t>(text->size()) <= kMost);
      break;
    }
    case 3: {
      const auto array = ParseNpy(bytes, {"|u1", "<i8", "<i4"}, kName);
      if (array.ok()) Require(array->elements.size() <= bytes.size());
      break;
    }
    case 4: {
      LabelList labels;
      const auto count = CountCifarRecords(static_cast<int64_t>(bytes.size()), kCifar10, kName);
      if (!count.ok() || !AppendCifarLabels(bytes, 0, kCifar10, kName, &labels).ok()) break;
      Require(static_cast<int64_t>(labels.size()) == *count);
      break;
    }
    case 5:
    case 6: {
      const auto values = DecodePngValues(bytes, kName);
      if (values.ok()) Require(CheckImage(*values).ok() && values->shape.channels == 1);
      const auto image = DecodeImage(bytes, static_cast<int64_t>(bytes.size() % 2) * 3, kName);
      if (!image.ok()) break;
      Require(CheckImage(*image).ok());
      const auto shape = ReadImageShape(bytes, image->shape.channels, kName);
      Require(shape.ok() && *shape == image->shape);
      break;
    }
    case 7: {
      const auto pickle = ParseCifarPickle(bytes, kCifar10, kName);
      if (!pickle.ok()) break;
      Require(pickle->offset + static_cast<int64_t>(pickle->labels.size()) * 3072 <=
              static_cast<int64_t>(bytes.size()));
      break;
    }
    case 8:
      ReadTar(bytes);
      break;
    default:
      (void)ParseImageFolderOptions(std::string(bytes));
      break;
  }
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
