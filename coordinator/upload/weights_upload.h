// The upload of weights that runs are to start from.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/coordinator.h"
#include "coordinator/upload/upload.h"

namespace distillery {

// What comes before the bytes; see UploadWeightsHeader in coordinator_service.proto.
struct WeightsHeader {
  std::string request_id;
  int64_t byte_count = 0;
  std::string sha256;
};

class WeightsUpload : public Upload {
 public:
  // Errors as WeightsShelf::PlanUpload.
  static absl::StatusOr<std::unique_ptr<WeightsUpload>> Begin(Coordinator* coordinator,
                                                              const WeightsHeader& header);
  // Equal for headers of one upload.
  static std::string IdentityOf(const WeightsHeader& header);

 protected:
  // DATA_LOSS (the SHA-256 differs); INVALID_ARGUMENT (no canonical safetensors file, NaN or
  // infinity); errors of the disk.
  absl::StatusOr<bool> Take(const std::function<bool()>& cancelled) override;

 private:
  WeightsUpload(Coordinator* coordinator, const WeightsHeader& header, bool duplicate,
                std::unique_ptr<IncomingFile> incoming)
      : Upload(header.request_id, IdentityOf(header), std::move(incoming)),
        coordinator_(coordinator),
        sha256_(header.sha256),
        duplicate_(duplicate) {}

  Coordinator* const coordinator_;
  const std::string sha256_;
  // These weights are there already.
  const bool duplicate_;
};

}  // namespace distillery
