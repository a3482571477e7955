// Samples that lie in archives, read and decoded when they are asked for: memory holds 16 bytes for
// each, whatever its size.
//
// Threads: immutable, safe for all. Reads block on the disk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/input_file.h"
#include "common/data/image_folder.h"
#include "common/data/record_source.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Where one member lies.
struct MemberPlace {
  int64_t offset = 0;
  // At most kMaxImageFileBytes.
  uint32_t bytes = 0;
  // Number of the archive.
  uint32_t archive = 0;
};

// How members become records: all those of a data set have one form, that of its first sample.
struct MemberForm {
  InputSpec input;
  // A member's bytes to output [input.bytes()]; `name` is for messages. Called from any thread.
  std::function<absl::Status(absl::string_view bytes, const std::string& name, uint8_t* output)>
      decode;
};

// The form of pictures of which `first` is one. Errors as DecodeImage; its decode also says
// INVALID_ARGUMENT for a picture of another size, or in colour where the first is grey.
absl::StatusOr<MemberForm> PictureForm(absl::string_view first, const std::string& name,
                                       const ImageFolderOptions& options);
// The form of NPY arrays of which `first` is one: floats, or bytes as they are. Errors as ParseNpy,
// and INVALID_ARGUMENT for a type that is neither; its decode says so for another type or shape,
// and for a number that is not finite.
absl::StatusOr<MemberForm> ArrayForm(absl::string_view first, const std::string& name);

class ArchivedSamples : public RecordSource {
 public:
  // `names` of the archives are for messages.
  ArchivedSamples(std::vector<InputFile> archives, std::vector<std::string> names,
                  std::vector<MemberPlace> places, MemberForm form);

  std::string name() const override;
  int64_t count() const override { return static_cast<int64_t>(places_.size()); }
  int64_t record_bytes() const override { return form_.input.bytes(); }
  // Errors as the form's decode. Messages name the archive and the member's offset.
  absl::Status Read(int64_t record, uint8_t* output) const override;
  absl::Status Read(const RecordWish* wishes, int64_t wish_count, int64_t first_index,
                    uint8_t* output) const override;

 private:
  const std::vector<InputFile> archives_;
  const std::vector<std::string> names_;
  const std::vector<MemberPlace> places_;
  const MemberForm form_;
};

// The member's bytes.
absl::StatusOr<std::string> ReadMember(const InputFile& archive, const MemberPlace& place);
// "train-0.tar: the member at byte 1024"
std::string MemberName(const std::string& archive, const MemberPlace& place);

}  // namespace distillery
