#include "common/data/record_file.h"

#include <cstring>

#include "common/base/status_macros.h"

namespace distillery {
namespace {

// To read over so many bytes costs less than a call of its own.
constexpr int64_t kMaxGap = 8192;
constexpr int64_t kMaxBlock = int64_t{256} << 10;

}  // namespace

absl::Status RecordFile::Read(int64_t record, uint8_t* output) const {
  return file_.ReadAt(OffsetOf(record), layout_.record_bytes, output);
}

absl::Status RecordFile::Read(const RecordWish* wishes, int64_t wish_count, int64_t first_index,
                              uint8_t* output) const {
  const int64_t bytes = layout_.record_bytes;
  const auto offset_of = [&](int64_t i) { return OffsetOf(wishes[i].index - first_index); };
  std::vector<uint8_t> block;
  for (int64_t first = 0; first < wish_count;) {
    const int64_t start = offset_of(first);
    int64_t end = start + bytes;
    int64_t next = first + 1;
    for (; next < wish_count; ++next) {
      const int64_t offset = offset_of(next);
      if (offset - end > kMaxGap || offset + bytes - start > kMaxBlock) break;
      end = offset + bytes;
    }
    if (next == first + 1) {
      DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(start, bytes, output + wishes[first].place * bytes));
    } else {
      if (block.empty()) block.resize(kMaxBlock);
      DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(start, end - start, block.data()));
      for (int64_t i = first; i < next; ++i) {
        std::memcpy(output + wishes[i].place * bytes, &block[offset_of(i) - start],
                    static_cast<size_t>(bytes));
      }
    }
    first = next;
  }
  return absl::OkStatus();
}

}  // namespace distillery
