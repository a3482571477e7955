#include "coordinator/upload/incoming_file.h"

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<IncomingFile>> IncomingFile::Create(const std::string& path,
                                                                   int64_t byte_count) {
  std::unique_ptr<IncomingFile> incoming(new IncomingFile(byte_count));
  if (!path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(incoming->file_, OutputFile::Create(path, Readers::kOwner));
  }
  return incoming;
}

absl::Status IncomingFile::BeginStream(int64_t start_offset) {
  if (start_offset != bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("header.start_offset is ", start_offset,
                                                   ", received are ", bytes_,
                                                   " bytes: ask GetUpload"));
  }
  stream_start_ = start_offset;
  chunks_ = 0;
  crc_ = 0;
  return absl::OkStatus();
}

absl::Status IncomingFile::Append(int64_t offset, absl::Span<const absl::string_view> data,
                                  uint32_t crc32c) {
  if (offset != bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk.offset is ", offset, ", the next byte is ", bytes_));
  }
  int64_t size = 0;
  uint32_t found = 0;
  for (const absl::string_view piece : data) {
    size += static_cast<int64_t>(piece.size());
    found = Crc32c(piece, found);
  }
  if (size == 0 || size > byte_count_ - bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk.data has ", size, " bytes, ", byte_count_ - bytes_, " are left"));
  }
  if (crc32c != 0 && crc32c != found) {
    return absl::DataLossError(
        absl::StrCat("chunk.crc32c differs from the bytes received at ", offset));
  }
  if (file_ != nullptr) DISTILLERY_RETURN_IF_ERROR(file_->Append(data));
  ++chunks_;
  bytes_ += size;
  for (const absl::string_view piece : data) crc_ = Crc32c(piece, crc_);
  return absl::OkStatus();
}

absl::Status IncomingFile::EndStream(int64_t chunk_count, int64_t byte_count, uint32_t crc32c) {
  if (chunk_count != chunks_ || byte_count != bytes_ - stream_start_ || bytes_ != byte_count_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "trailer says ", chunk_count, " chunks and ", byte_count, " bytes, header says ",
        byte_count_ - stream_start_, " bytes; got ", chunks_, " and ", bytes_ - stream_start_));
  }
  if (crc32c != crc_) return absl::DataLossError("trailer.crc32c differs from the bytes received");
  return absl::OkStatus();
}

}  // namespace distillery
