// An upload under way, of whatever kind.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/upload/incoming_file.h"

namespace distillery {

// Threads: one at a time. Every method may block for the disk. Dropping it drops what was received.
class Upload {
 public:
  // `identity` is equal for two headers of the same upload.
  Upload(std::string request_id, std::string identity, std::unique_ptr<IncomingFile> incoming)
      : request_id_(std::move(request_id)),
        identity_(std::move(identity)),
        incoming_(std::move(incoming)) {}
  virtual ~Upload() = default;

  const std::string& request_id() const { return request_id_; }
  const std::string& identity() const { return identity_; }
  int64_t received_bytes() const { return incoming_->received_bytes(); }

  // OK as long as somebody may want it: the lease that it is for has not ended.
  virtual absl::Status StillWanted() const { return absl::OkStatus(); }
  // Given back with the upload, such as a place among those of its lease.
  void Hold(std::shared_ptr<void> place) { place_ = std::move(place); }

  // See IncomingFile.
  absl::Status BeginStream(int64_t start_offset) { return incoming_->BeginStream(start_offset); }
  absl::Status Append(int64_t offset, absl::Span<const absl::string_view> data, uint32_t crc32c) {
    absl::Status appended = incoming_->Append(offset, data, crc32c);
    for (size_t i = 0; appended.ok() && i < data.size(); ++i) Look(data[i]);
    return appended;
  }
  absl::Status Append(int64_t offset, absl::string_view data, uint32_t crc32c = 0) {
    return Append(offset, {&data, 1}, crc32c);
  }
  // Checks the trailer, then takes the file: it is on disk and recorded when this returns OK. True:
  // it had been before. CANCELLED if `cancelled`, unless it is null, says true in the midst of a
  // large header: nobody waits for the answer any more.
  absl::StatusOr<bool> Finish(int64_t chunk_count, int64_t byte_count, uint32_t crc32c,
                              const std::function<bool()>& cancelled = nullptr) {
    const absl::Status ended = incoming_->EndStream(chunk_count, byte_count, crc32c);
    if (!ended.ok()) return ended;
    return Take(cancelled);
  }

 protected:
  // The bytes as they come in, in order.
  virtual void Look(absl::string_view /*data*/) {}
  virtual absl::StatusOr<bool> Take(const std::function<bool()>& cancelled) = 0;
  IncomingFile& incoming() { return *incoming_; }

 private:
  const std::string request_id_;
  const std::string identity_;
  const std::unique_ptr<IncomingFile> incoming_;
  std::shared_ptr<void> place_;
};

}  // namespace distillery
