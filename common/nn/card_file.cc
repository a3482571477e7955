#include "common/nn/card_file.h"

#include <caffe2/serialize/inline_container.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/nn/model_file.h"
#include "common/nn/numerics.h"

namespace distillery {

absl::StatusOr<std::optional<ModelCard>> ReadCardOf(const std::string& path) {
  // LibTorch's reader opens whatever is there, and would wait at a pipe.
  struct stat info {};
  DISTILLERY_RETURN_IF_ERROR(OpenRegularFile(path, &info).status());
  std::string text;
  // What is no archive carries no card; whoever loads the model says what else is wrong with it.
  const absl::Status read = CatchTorchErrors([&] {
    caffe2::serialize::PyTorchStreamReader archive(path);
    const std::string name = absl::StrCat("extra/", kCardName);
    if (!archive.hasRecord(name)) return absl::OkStatus();
    const auto [bytes, size] = archive.getRecord(name);
    text.assign(static_cast<const char*>(bytes.get()), size);
    return absl::OkStatus();
  });
  if (!read.ok() || text.empty()) return std::optional<ModelCard>();
  absl::StatusOr<ModelCard> card = ParseModelCard(text);
  if (!card.ok()) return Annotate(card.status(), path);
  return std::optional<ModelCard>(*std::move(card));
}

}  // namespace distillery
