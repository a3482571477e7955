#include "common/data/byte_tokens.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace distillery {

std::vector<std::string> ByteTokenNames() {
  std::vector<std::string> names = {"<pad>"};
  for (int byte = 0; byte < 256; ++byte) {
    const auto letter = static_cast<unsigned char>(byte);
    names.push_back(absl::ascii_isgraph(letter) ? std::string(1, static_cast<char>(byte))
                                                : absl::StrFormat("<0x%02X>", byte));
  }
  return names;
}

}  // namespace distillery
