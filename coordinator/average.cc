#include "coordinator/average.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/disk_errors.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/average_inputs.h"

namespace distillery {
namespace {

constexpr int64_t kFragmentBytes = 1 << 20;
constexpr int64_t kLeastFragmentBytes = 4096;

template <typename T>
double Element(const std::string& bytes, int64_t index) {
  T value;
  std::memcpy(&value, &bytes[static_cast<size_t>(index) * sizeof(T)], sizeof(T));
  return static_cast<double>(value);
}

template <typename T>
void SetElement(std::string* bytes, int64_t index, double value) {
  const T narrow = static_cast<T>(value);
  std::memcpy(&(*bytes)[static_cast<size_t>(index) * sizeof(T)], &narrow, sizeof(T));
}

// Moments of the outer optimizer, read from the last round's file and written to this round's.
class MomentFile {
 public:
  absl::Status Open(const std::string& output, const std::string& header) {
    DISTILLERY_ASSIGN_OR_RETURN(output_, OutputFile::Create(output, Readers::kOwner));
    digest_.Update(header);
    return output_->Append(header);
  }
  bool open() const { return output_ != nullptr; }
  // What the last round left at `offset` of the input; zeros in the first round, which has none.
  absl::Status Read(AverageInputs* inputs, std::optional<size_t> input, int64_t offset,
                    int64_t size) {
    fragment_.assign(static_cast<size_t>(size), '\0');
    return input.has_value() ? inputs->ReadAt(*input, offset, &fragment_) : absl::OkStatus();
  }
  // Sets element `i` and returns what is stored, so that a restart between rounds changes nothing.
  template <typename T>
  double Set(int64_t i, double value) {
    SetElement<T>(&fragment_, i, value);
    return Element<T>(fragment_, i);
  }
  template <typename T>
  double Get(int64_t i) const {
    return Element<T>(fragment_, i);
  }
  // The fragment, or zeros for what has no moment.
  absl::Status Write(bool zeros, int64_t size) {
    if (!open()) return absl::OkStatus();
    if (zeros) fragment_.assign(static_cast<size_t>(size), '\0');
    digest_.Update(fragment_);
    return output_->Append(fragment_);
  }
  // The digest of what was written. Call once, after the last Write.
  std::string HexDigest() { return open() ? digest_.HexDigest() : ""; }
  absl::Status Sync() { return open() ? output_->Sync() : absl::OkStatus(); }
  absl::Status Keep() { return open() ? output_->Keep() : absl::OkStatus(); }

 private:
  std::unique_ptr<OutputFile> output_;
  Sha256 digest_;
  std::string fragment_;
};

// Holds the open files and buffers of one averaging.
class Averager {
 public:
  explicit Averager(const AverageRequest& request) : request_(request) {}

  absl::StatusOr<AverageResult> Run() {
    for (const auto& check :
         {&Averager::CheckWeights, &Averager::CheckDeltas, &Averager::Average}) {
      const absl::Status status = (this->*check)();
      if (inputs_.any_damaged()) return Damage();
      if (!status.ok()) return status;
    }
    // None is kept before all are on disk: after an error nobody knows their names.
    DISTILLERY_RETURN_IF_ERROR(output_->Sync());
    DISTILLERY_RETURN_IF_ERROR(momentum_.Sync());
    DISTILLERY_RETURN_IF_ERROR(variance_.Sync());
    DISTILLERY_RETURN_IF_ERROR(variance_.Keep());
    DISTILLERY_RETURN_IF_ERROR(momentum_.Keep());
    DISTILLERY_RETURN_IF_ERROR(output_->Keep());
    AverageResult result;
    result.weights_sha256 = digest_.HexDigest();
    result.momentum_sha256 = momentum_.HexDigest();
    result.variance_sha256 = variance_.HexDigest();
    result.delta_norms = norms_;
    return result;
  }

 private:
  AverageResult Damage() const {
    AverageResult damage;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_.damaged(i)) continue;
      if (i < first_delta_) damage.weights_damaged = true;
      if (i >= first_delta_) {
        damage.damaged_replicas.push_back(static_cast<int64_t>(i - first_delta_));
      }
    }
    return damage;
  }

  // The weights and moments, and the layout of all files.
  absl::Status CheckWeights() {
    inputs_.Add(request_.weights_path, request_.weights_sha256);
    if (!request_.momentum_path.empty()) {
      momentum_input_ = inputs_.Add(request_.momentum_path, request_.momentum_sha256);
    }
    if (!request_.variance_path.empty()) {
      variance_input_ = inputs_.Add(request_.variance_path, request_.variance_sha256);
    }
    first_delta_ = inputs_.size();
    DISTILLERY_RETURN_IF_ERROR(ReadLayout());
    for (size_t i = 0; i < first_delta_; ++i) DISTILLERY_RETURN_IF_ERROR(inputs_.EndCheck(i));
    return absl::OkStatus();
  }

  // Of the bytes that are checked, so that a header that is read wrongly is found.
  absl::Status ReadLayout() {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t size, inputs_.SizeOf(kWeights));
    std::string header(static_cast<size_t>(std::min(size, WeightsLayout::kLengthBytes)), '\0');
    DISTILLERY_RETURN_IF_ERROR(inputs_.ReadAt(kWeights, 0, &header));
    const absl::StatusOr<int64_t> header_bytes = WeightsLayout::HeaderBytes(header, size);
    if (!header_bytes.ok()) return NoHeader(header_bytes.status());
    const auto length = static_cast<int64_t>(header.size());
    std::string rest(static_cast<size_t>(*header_bytes - length), '\0');
    DISTILLERY_RETURN_IF_ERROR(inputs_.ReadAt(kWeights, length, &rest));
    absl::StatusOr<WeightsLayout> layout = WeightsLayout::ParseHeader(header + rest, size);
    if (!layout.ok()) return NoHeader(layout.status());
    layout_ = *std::move(layout);
    header_ = layout_.Header();
    return absl::OkStatus();
  }
  absl::Status NoHeader(const absl::Status& why) {
    return inputs_.NoteDamage(
        kWeights, absl::DataLossError(absl::StrCat(request_.weights_path, ": ", why.message())));
  }

  bool IsBuffer(const TensorSpec& tensor) const {
    return std::binary_search(request_.buffer_names.begin(), request_.buffer_names.end(),
                              tensor.name);
  }

  // One pass over the deltas, which tells the parameters' norms and what is damaged.
  absl::Status CheckDeltas() {
    for (const ReplicaDelta& delta : request_.deltas) {
      total_weight_ += delta.weight;
      const size_t input = inputs_.Add(delta.path, delta.sha256, /*made_anew=*/true);
      double squares = 0;
      absl::Status read = CheckDelta(input, &squares);
      // The others are looked at all the same: what is damaged is done again together.
      if (!read.ok() && !inputs_.damaged(input)) return read;
      norms_.push_back(std::sqrt(squares));
      const bool clipped = request_.clip_norm > 0 && norms_.back() > request_.clip_norm;
      scales_.push_back(clipped ? request_.clip_norm / norms_.back() : 1);
    }
    return absl::OkStatus();
  }

  // Adds the squares of the parameters. Tensors lie without gaps in the order of their names: a
  // canonical file is its header and they.
  absl::Status CheckDelta(size_t input, double* squares) {
    fragment_.resize(header_.size());
    DISTILLERY_RETURN_IF_ERROR(inputs_.ReadAt(input, 0, &fragment_));
    if (fragment_ != header_) {
      return inputs_.NoteDamage(input, absl::FailedPreconditionError(
                                           absl::StrCat(request_.deltas[input - first_delta_].path,
                                                        ": its layout differs from the weights'")));
    }
    for (const TensorSpec& tensor : layout_.tensors()) {
      if (IsBuffer(tensor)) continue;
      for (int64_t done = 0; done < tensor.byte_count; done += kFragmentBytes) {
        fragment_.resize(static_cast<size_t>(std::min(kFragmentBytes, tensor.byte_count - done)));
        DISTILLERY_RETURN_IF_ERROR(
            inputs_.ReadAt(input, layout_.data_start() + tensor.offset + done, &fragment_));
        if (tensor.type == ElementType::kFloat32) AddSquares<float>(squares);
        if (tensor.type == ElementType::kFloat64) AddSquares<double>(squares);
      }
    }
    return inputs_.EndCheck(input);
  }

  // Adds the squares of the fragment.
  template <typename T>
  void AddSquares(double* squares) const {
    const auto count = static_cast<int64_t>(fragment_.size() / sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      const double value = Element<T>(fragment_, i);
      *squares += value * value;
    }
  }

  // The second pass, into the outputs.
  absl::Status Average() {
    DISTILLERY_ASSIGN_OR_RETURN(output_,
                                OutputFile::Create(request_.weights_output, Readers::kOwner));
    if (KeepsMomentum(request_.outer_optimizer)) {
      DISTILLERY_RETURN_IF_ERROR(momentum_.Open(request_.momentum_output, header_));
    }
    if (KeepsVariance(request_.outer_optimizer)) {
      DISTILLERY_RETURN_IF_ERROR(variance_.Open(request_.variance_output, header_));
    }
    DISTILLERY_RETURN_IF_ERROR(Write(header_));
    inputs_.BeginUse(header_);
    absl::Status status;
    for (const TensorSpec& tensor : layout_.tensors()) {
      if (status.ok()) status = AverageTensor(tensor);
    }
    // What is not finite may be so because of bytes that are damaged.
    if (!status.ok() && !absl::IsDataLoss(status)) return status;
    absl::Status same = inputs_.EndUse();
    // Where that cannot be told now, nothing is lost by averaging again.
    if (!same.ok() && !absl::IsDataLoss(same)) return same;
    return status.ok() ? same : status;
  }

  absl::Status AverageTensor(const TensorSpec& tensor) {
    const bool buffer = IsBuffer(tensor);
    // The robust methods hold all replicas' fragments at once: smaller ones then.
    const int64_t step =
        Robust(buffer) ? std::max(kLeastFragmentBytes,
                                  kFragmentBytes / static_cast<int64_t>(request_.deltas.size()) /
                                      kLeastFragmentBytes * kLeastFragmentBytes)
                       : kFragmentBytes;
    for (int64_t done = 0; done < tensor.byte_count; done += step) {
      const int64_t offset = layout_.data_start() + tensor.offset + done;
      const int64_t size = std::min(step, tensor.byte_count - done);
      absl::Status status;
      if (tensor.type == ElementType::kFloat32) {
        status = AverageFragment<float>(offset, size, buffer);
      } else if (tensor.type == ElementType::kFloat64) {
        status = AverageFragment<double>(offset, size, buffer);
      } else {
        status = CopyFragment(offset, size, buffer);
      }
      // A full disk is not the tensor's matter, nor are descriptors, and their marks must stay.
      if (IsDiskFull(status) || IsOutOfDescriptors(status)) return status;
      if (!status.ok()) return Annotate(status, absl::StrCat("tensor \"", tensor.name, "\""));
      DISTILLERY_FAILPOINT("coordinator.average.fragment");
    }
    return absl::OkStatus();
  }

  bool Robust(bool buffer) const { return !buffer && request_.method != "mean"; }

  template <typename T>
  absl::Status AverageFragment(int64_t offset, int64_t size, bool buffer) {
    const int64_t count = size / static_cast<int64_t>(sizeof(T));
    mean_.assign(static_cast<size_t>(count), 0.0);
    fragment_.resize(static_cast<size_t>(size));
    if (Robust(buffer)) {
      DISTILLERY_RETURN_IF_ERROR(RobustMean<T>(offset, count));
    } else {
      DISTILLERY_RETURN_IF_ERROR(WeightedMean<T>(offset, count, buffer));
    }
    if (!buffer) DISTILLERY_RETURN_IF_ERROR(ApplyOuter<T>(offset, count));
    for (int64_t i = 0; i < count; ++i) {
      if (!std::isfinite(static_cast<T>(mean_[i]))) {
        return absl::DataLossError("the average is not finite");
      }
      SetElement<T>(&fragment_, i, mean_[i]);
    }
    DISTILLERY_RETURN_IF_ERROR(Write(fragment_));
    return WriteMoments(buffer, size);
  }

  // Into the fragment, which has its size.
  absl::Status ReadDelta(size_t k, int64_t offset) {
    return inputs_.ReadAt(first_delta_ + k, offset, &fragment_);
  }

  template <typename T>
  absl::Status WeightedMean(int64_t offset, int64_t count, bool buffer) {
    for (size_t k = 0; k < request_.deltas.size(); ++k) {
      DISTILLERY_RETURN_IF_ERROR(ReadDelta(k, offset));
      double weight = request_.deltas[k].weight / total_weight_;
      if (!buffer) weight *= scales_[k];
      for (int64_t i = 0; i < count; ++i) mean_[i] += weight * Element<T>(fragment_, i);
    }
    return absl::OkStatus();
  }

  // Trimmed mean or median of each element.
  template <typename T>
  absl::Status RobustMean(int64_t offset, int64_t count) {
    const size_t replicas = request_.deltas.size();
    rows_.resize(replicas * static_cast<size_t>(count));
    for (size_t k = 0; k < replicas; ++k) {
      DISTILLERY_RETURN_IF_ERROR(ReadDelta(k, offset));
      for (int64_t i = 0; i < count; ++i) {
        rows_[static_cast<size_t>(i) * replicas + k] = scales_[k] * Element<T>(fragment_, i);
      }
    }
    // The median is the mean of what is left when all but one or two are taken out.
    const auto trimmed = request_.method == "median"
                             ? (replicas - 1) / 2
                             : static_cast<size_t>(request_.trim * static_cast<double>(replicas));
    const auto left = static_cast<double>(replicas - 2 * trimmed);
    for (int64_t i = 0; i < count; ++i) {
      const auto row = rows_.begin() + i * static_cast<int64_t>(replicas);
      std::sort(row, row + static_cast<int64_t>(replicas));
      for (size_t k = trimmed; k < replicas - trimmed; ++k)
        mean_[i] += row[static_cast<int64_t>(k)];
      mean_[i] /= left;
    }
    return absl::OkStatus();
  }

  // Turns the mean delta into new weights, in place.
  template <typename T>
  absl::Status ApplyOuter(int64_t offset, int64_t count) {
    DISTILLERY_RETURN_IF_ERROR(inputs_.ReadAt(kWeights, offset, &fragment_));
    const double rate = request_.outer_learning_rate;
    const double momentum = request_.outer_momentum;
    if (!momentum_.open()) {
      for (int64_t i = 0; i < count; ++i) mean_[i] = Element<T>(fragment_, i) + rate * mean_[i];
      return absl::OkStatus();
    }
    const auto size = static_cast<int64_t>(fragment_.size());
    DISTILLERY_RETURN_IF_ERROR(momentum_.Read(&inputs_, momentum_input_, offset, size));
    if (variance_.open()) {
      DISTILLERY_RETURN_IF_ERROR(variance_.Read(&inputs_, variance_input_, offset, size));
      const double beta2 = request_.outer_beta2;
      for (int64_t i = 0; i < count; ++i) {
        const double m =
            momentum_.Set<T>(i, momentum * momentum_.Get<T>(i) + (1 - momentum) * mean_[i]);
        const double v =
            variance_.Set<T>(i, beta2 * variance_.Get<T>(i) + (1 - beta2) * mean_[i] * mean_[i]);
        mean_[i] = Element<T>(fragment_, i) + rate * m / (std::sqrt(v) + request_.outer_epsilon);
      }
      return absl::OkStatus();
    }
    const bool nesterov = request_.outer_optimizer == "nesterov";
    for (int64_t i = 0; i < count; ++i) {
      const double gradient = -mean_[i];
      const double m = momentum_.Set<T>(i, momentum * momentum_.Get<T>(i) + gradient);
      mean_[i] = Element<T>(fragment_, i) - rate * (nesterov ? gradient + momentum * m : m);
    }
    return absl::OkStatus();
  }

  // Types without arithmetic: buffers take replica 0's value, parameters stay.
  absl::Status CopyFragment(int64_t offset, int64_t size, bool buffer) {
    fragment_.resize(static_cast<size_t>(size));
    DISTILLERY_RETURN_IF_ERROR(
        inputs_.ReadAt(buffer ? first_delta_ : kWeights, offset, &fragment_));
    DISTILLERY_RETURN_IF_ERROR(Write(fragment_));
    return WriteMoments(/*zeros=*/true, size);
  }

  absl::Status WriteMoments(bool zeros, int64_t size) {
    DISTILLERY_RETURN_IF_ERROR(momentum_.Write(zeros, size));
    return variance_.Write(zeros, size);
  }

  absl::Status Write(const std::string& bytes) {
    digest_.Update(bytes);
    return output_->Append(bytes);
  }

  // The number of the weights among the inputs; moments come next, then deltas.
  static constexpr size_t kWeights = 0;

  const AverageRequest& request_;
  WeightsLayout layout_;
  std::string header_;
  AverageInputs inputs_;
  std::optional<size_t> momentum_input_;
  std::optional<size_t> variance_input_;
  size_t first_delta_ = 0;
  double total_weight_ = 0;
  // The norm of each delta, and what it is multiplied by.
  std::vector<double> norms_;
  std::vector<double> scales_;
  std::unique_ptr<OutputFile> output_;
  MomentFile momentum_;
  MomentFile variance_;
  Sha256 digest_;
  std::vector<double> mean_;
  // [elements, replicas]
  std::vector<double> rows_;
  std::string fragment_;
};

}  // namespace

bool KeepsMomentum(const std::string& outer_optimizer) { return outer_optimizer != "sgd"; }
bool KeepsVariance(const std::string& outer_optimizer) { return outer_optimizer == "adam"; }

absl::StatusOr<AverageResult> AverageDeltas(const AverageRequest& request) {
  return Averager(request).Run();
}

}  // namespace distillery
