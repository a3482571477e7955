#include "common/data/jpeg_file.h"

#include <turbojpeg.h>

#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

using Decompressor = std::unique_ptr<std::remove_pointer_t<tjhandle>, int (*)(tjhandle)>;

absl::Status Damaged(absl::string_view name, const Decompressor& decompressor) {
  return absl::DataLossError(absl::StrCat(
      name, " is damaged or cut short (JPEG: ", tjGetErrorStr2(decompressor.get()), ")"));
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, absl::string_view name) {
  const Decompressor decompressor(tjInitDecompress(), tjDestroy);
  if (decompressor == nullptr) return absl::InternalError("libjpeg-turbo: no memory");
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colours = 0;
  if (tjDecompressHeader3(decompressor.get(), data, bytes.size(), &width, &height, &subsampling,
                          &colours) != 0) {
    return Damaged(name, decompressor);
  }
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is a CMYK JPEG for printing; convert it to RGB or greyscale"));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(height, width, name));
  const ImageShape shape{colours == TJCS_GRAY ? 1 : 3, height, width};
  std::vector<uint8_t> values(static_cast<size_t>(shape.size()));
  if (tjDecompress2(decompressor.get(), data, bytes.size(), values.data(), width, /*pitch=*/0,
                    height, shape.channels == 1 ? TJPF_GRAY : TJPF_RGB,
                    TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0) {
    return Damaged(name, decompressor);
  }
  return FromInterleaved(shape, values.data());
}

}  // namespace distillery
