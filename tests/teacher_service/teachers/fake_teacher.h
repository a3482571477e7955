// A teacher without LibTorch for the digits data, whose logits tell where they were computed.
#pragma once

#include <atomic>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "teacher_service/teachers/finite_rows.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

inline constexpr int64_t kFakePixels = 64;
inline constexpr int64_t kFakeClasses = 10;

// What happens in ComputeLogits, seen and steered from outside. Threads: safe for all.
struct FakeTeacherProbe {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> rows{0};
  // ComputeSoftTargets; each is one of `calls` too.
  std::atomic<int64_t> encoded_calls{0};
  // Called first, with the number of the call from 0; may block. OK goes on. Set before any call.
  std::function<absl::Status(int64_t call)> before;
  // Called with each row's pixels; if it returns true, the answer to that row has NaN for class 3.
  // Set before any call.
  std::function<bool(const float* pixels)> unfinite;
  // Called with each row's pixels; a status that is not OK is the answer to the whole call, as from
  // a model that throws at one row. Set before any call.
  std::function<absl::Status(const float* pixels)> refuses;
};

class FakeTeacher : public Teacher {
 public:
  // `probe` may be null, else it must outlive this.
  FakeTeacher(int64_t batch_rows, FakeTeacherProbe* probe) : probe_(probe) {
    info_.digest = "fake-teacher-digest";
    info_.model_name = "fake";
    info_.card.samples = SampleSpec::Pictures({1, 8, 8}, 255);
    info_.card.mean = {0};
    info_.card.deviation = {1};
    for (int64_t i = 0; i < kFakeClasses; ++i) info_.card.class_names.push_back(std::to_string(i));
    info_.parameter_count = 7;
    info_.numerics_fingerprint = "isa=none";
    info_.batch_rows = batch_rows;
  }

  const TeacherInfo& info() const override { return info_; }
  // Before anybody uses it.
  void set_max_batch_rows(int64_t rows) { info_.max_batch_rows = rows; }
  void set_name(const std::string& name) { info_.model_name = name; }
  void set_digest(const std::string& digest) { info_.digest = digest; }
  // Before anybody uses it.
  void set_picture(int64_t height, int64_t width) {
    info_.card.samples = SampleSpec::Pictures({1, height, width}, 255);
  }
  void set_half_logits() { info_.half_logits = true; }
  // As on a device; probe counts the calls as `encoded_calls`.
  void set_encodes() { encodes_ = true; }
  bool encodes() const override { return encodes_; }
  // As on a device.
  void set_takes_bytes() { takes_bytes_ = true; }
  bool takes_bytes() const override { return takes_bytes_; }
  absl::Status ComputeLogitsOfBytes(const uint8_t* bytes, int pixel_max, int64_t rows,
                                    float* logits) override {
    const int64_t count = rows * info_.card.samples.picture_shape().size();
    std::vector<float> pixels(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      pixels[static_cast<size_t>(i)] = static_cast<float>(bytes[i]) / static_cast<float>(pixel_max);
    }
    return ComputeLogits(pixels.data(), rows, logits);
  }
  absl::StatusOr<std::vector<absl::Status>> ComputeSoftTargets(
      const InputColumns& inputs, int64_t rows, const std::vector<EncodedPart>& parts) override {
    if (probe_ != nullptr) ++probe_->encoded_calls;
    std::vector<float> logits(static_cast<size_t>(rows * kFakeClasses));
    if (absl::Status status = ComputeLogits(inputs, rows, logits.data()); !status.ok()) {
      return status;
    }
    const float* next = logits.data();
    std::vector<absl::Status> answers;
    for (const EncodedPart& part : parts) {
      answers.push_back(CheckFiniteRows(info_, next, part.rows));
      if (answers.back().ok()) {
        EncodeSoftTargets(next, part.rows, kFakeClasses, part.format, part.output);
      }
      next += part.rows * kFakeClasses;
    }
    return answers;
  }

  // z[r, c] = sum of pixels * (c + 1) / 10 - c  +  (256 * rows + r) / 65536: as in a real teacher,
  // a row's bits depend on the batch that it is computed in.
  static float Logit(const float* pixels, int64_t rows, int64_t row, int64_t c,
                     int64_t pixel_count = kFakePixels) {
    float sum = 0;
    for (int64_t i = 0; i < pixel_count; ++i) sum += pixels[i];
    return sum * static_cast<float>(c + 1) / 10 - static_cast<float>(c) +
           static_cast<float>(256 * rows + row) / 65536;
  }

  absl::Status ComputeLogits(const InputColumns& columns, int64_t rows, float* logits) override {
    const float* const inputs = columns.floats();
    if (probe_ != nullptr) {
      const int64_t call = probe_->calls.fetch_add(1);
      probe_->rows.fetch_add(rows);
      if (probe_->before) {
        if (absl::Status status = probe_->before(call); !status.ok()) return status;
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t pixel_count = info_.card.samples.picture_shape().size();
      const float* const pixels = inputs + r * pixel_count;
      for (int64_t c = 0; c < kFakeClasses; ++c) {
        logits[r * kFakeClasses + c] = Logit(pixels, rows, r, c, pixel_count);
      }
      if (probe_ == nullptr) continue;
      if (probe_->unfinite && probe_->unfinite(pixels))
        logits[r * kFakeClasses + 3] = std::nanf("");
      if (!probe_->refuses) continue;
      if (absl::Status status = probe_->refuses(pixels); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  FakeTeacherProbe* const probe_;
  bool encodes_ = false;
  bool takes_bytes_ = false;
  TeacherInfo info_;
};

}  // namespace distillery
