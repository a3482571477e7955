#include "teacher_service/cache/logit_key.h"

#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/checksum.h"
#include "common/base/names.h"

namespace distillery {
namespace {

constexpr size_t kFolderLetters = 16;
constexpr size_t kHashLetters = 8;
constexpr char kTemporaryEnding[] = ".tmp";

std::string FolderName(const std::string& digest) {
  std::string start = digest.substr(0, kFolderLetters);
  if (CheckName("digest", start, kFolderLetters).ok()) return start;
  return Sha256Hex(digest).substr(0, kFolderLetters);
}

bool ConsumeNumber(absl::string_view* text) {
  absl::ConsumePrefix(text, "-");
  const size_t before = text->size();
  while (!text->empty() && absl::ascii_isdigit(text->front())) text->remove_prefix(1);
  return text->size() < before;
}

bool ConsumeHash(absl::string_view* text) {
  if (text->size() < kHashLetters) return false;
  for (const char letter : text->substr(0, kHashLetters)) {
    if (!absl::ascii_isxdigit(letter)) return false;
  }
  text->remove_prefix(kHashLetters);
  return true;
}

}  // namespace

std::string LogitKey::ToString() const {
  return absl::StrCat("teacher \"", absl::CHexEscape(teacher_digest), "\" dataset \"",
                      absl::CHexEscape(dataset_digest), "\" shard ", shard, " augmentation \"",
                      absl::CHexEscape(augmentation), "\" seed ", seed, " view ", view);
}

std::string LogitKey::Digest() const { return Sha256Hex(ToString()); }

std::string LogitFilePath(const LogitKey& key, StoredType type) {
  return absl::StrFormat("%s/%s/shard-%06d-view-%06d-%s.%s.logits", FolderName(key.teacher_digest),
                         FolderName(key.dataset_digest), key.shard, key.view,
                         key.Digest().substr(0, kHashLetters),
                         type == StoredType::kFloat16 ? "f16" : "f32");
}

bool IsLogitFileName(absl::string_view name) {
  return absl::ConsumePrefix(&name, "shard-") && ConsumeNumber(&name) &&
         absl::ConsumePrefix(&name, "-view-") && ConsumeNumber(&name) &&
         absl::ConsumePrefix(&name, "-") && ConsumeHash(&name) &&
         (name == ".f16.logits" || name == ".f32.logits");
}

std::string TemporaryLogitFilePath(const std::string& path) {
  // Processes in two containers may have one id: the random part tells them apart.
  return absl::StrCat(path, ".", getpid(), ".", RandomHex(kHashLetters), kTemporaryEnding);
}

bool IsTemporaryLogitFileName(absl::string_view name) {
  const size_t ending = name.find(".logits.");
  if (ending == absl::string_view::npos) return false;
  const size_t length = ending + sizeof(".logits") - 1;
  absl::string_view rest = name.substr(length);
  return IsLogitFileName(name.substr(0, length)) && absl::ConsumePrefix(&rest, ".") &&
         ConsumeNumber(&rest) && absl::ConsumePrefix(&rest, ".") && ConsumeHash(&rest) &&
         rest == kTemporaryEnding;
}

}  // namespace distillery
