#include "coordinator/average.h"

#include <sys/resource.h>

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
#include "common/base/input_file.h"
#include "common/base/status_macros.h"
#include "common/weights/tensor_source.h"
#include "coordinator/state/file_check.h"

namespace distillery {
namespace {

constexpr int64_t kFragmentBytes = 1 << 20;
constexpr int64_t kLeastFragmentBytes = 4096;

// Deltas read by position. The first ones stay open; the others, where there are more replicas than
// a process may have files open beside all else, are opened for each read.
class DeltaFiles {
 public:
  // `most`: how many may stay open.
  explicit DeltaFiles(size_t most) : most_(most) {}

  // FAILED_PRECONDITION if the file does not begin with `header`; others as InputFile's.
  absl::Status Add(const std::string& path, const std::string& header) {
    DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
    std::string found(header.size(), '\0');
    DISTILLERY_RETURN_IF_ERROR(Read(file, 0, &found));
    if (found != header) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": its layout differs from the weights'"));
    }
    files_.push_back({path, std::nullopt});
    if (kept_ < most_) {
      ++kept_;
      files_.back().open.emplace(std::move(file));
    }
    return absl::OkStatus();
  }
  // One that cannot be read; it keeps its place.
  void AddMissing() { files_.push_back({}); }
  bool missing(size_t k) const { return files_[k].path.empty(); }
  size_t size() const { return files_.size(); }

  absl::Status ReadAt(size_t k, int64_t offset, std::string* bytes) const {
    const File& file = files_[k];
    if (file.open.has_value()) return Read(*file.open, offset, bytes);
    DISTILLERY_ASSIGN_OR_RETURN(const InputFile opened, InputFile::Open(file.path));
    return Read(opened, offset, bytes);
  }

  static absl::Status Read(const InputFile& file, int64_t offset, std::string* bytes) {
    return file.ReadAt(offset, static_cast<int64_t>(bytes->size()), bytes->data());
  }

 private:
  struct File {
    std::string path;
    std::optional<InputFile> open;
  };
  const size_t most_;
  size_t kept_ = 0;
  std::vector<File> files_;
};

// How many deltas may stay open: a part of what the process may open, for connections need the
// rest.
size_t MostOpenDeltas() {
  constexpr rlim_t kMost = 256;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<rlim_t>(kMost, limit.rlim_cur / 8);
}

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
  absl::Status Open(const std::string& input, const std::string& output,
                    const std::string& header) {
    if (!input.empty()) {
      DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(input));
      input_.emplace(std::move(file));
    }
    DISTILLERY_ASSIGN_OR_RETURN(output_, OutputFile::Create(output, Readers::kOwner));
    digest_.Update(header);
    return output_->Append(header);
  }
  bool open() const { return output_ != nullptr; }
  // What the last round left at `offset`; zeros in the first.
  absl::Status Read(int64_t offset, int64_t size) {
    fragment_.assign(static_cast<size_t>(size), '\0');
    return input_.has_value() ? DeltaFiles::Read(*input_, offset, &fragment_) : absl::OkStatus();
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
  // Of what was written. Call once, after Finish.
  std::string HexDigest() { return open() ? digest_.HexDigest() : ""; }
  absl::Status Finish() {
    if (!open()) return absl::OkStatus();
    DISTILLERY_RETURN_IF_ERROR(output_->Sync());
    return output_->Keep();
  }

 private:
  std::optional<InputFile> input_;
  std::unique_ptr<OutputFile> output_;
  Sha256 digest_;
  std::string fragment_;
};

// Whether the file is there and has that SHA-256 ("": whatever it has).
absl::StatusOr<bool> Sound(const std::string& path, const std::string& sha256) {
  if (path.empty() || sha256.empty()) return true;
  const absl::Status status = CheckFileSha256(path, sha256);
  if (absl::IsDataLoss(status)) return false;
  // Of rights, or of what has taken the file's place: a person can mend it.
  if (absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) {
    return absl::UnavailableError(status.message());
  }
  if (!status.ok()) return status;
  return true;
}

// Holds the open files and buffers of one averaging.
class Averager {
 public:
  explicit Averager(const AverageRequest& request) : request_(request) {}

  absl::StatusOr<AverageResult> Run() {
    AverageResult damage;
    for (const auto& [path, sha256] :
         {std::pair(&request_.weights_path, &request_.weights_sha256),
          std::pair(&request_.momentum_path, &request_.momentum_sha256),
          std::pair(&request_.variance_path, &request_.variance_sha256)}) {
      DISTILLERY_ASSIGN_OR_RETURN(const bool sound, Sound(*path, *sha256));
      damage.weights_damaged |= !sound;
    }
    if (damage.weights_damaged) return damage;
    DISTILLERY_RETURN_IF_ERROR(OpenInputs());
    DISTILLERY_RETURN_IF_ERROR(MeasureNorms());
    if (!damaged_replicas_.empty()) {
      damage.damaged_replicas = damaged_replicas_;
      return damage;
    }
    DISTILLERY_ASSIGN_OR_RETURN(output_,
                                OutputFile::Create(request_.weights_output, Readers::kOwner));
    if (KeepsMomentum(request_.outer_optimizer)) {
      DISTILLERY_RETURN_IF_ERROR(
          momentum_.Open(request_.momentum_path, request_.momentum_output, header_));
    }
    if (KeepsVariance(request_.outer_optimizer)) {
      DISTILLERY_RETURN_IF_ERROR(
          variance_.Open(request_.variance_path, request_.variance_output, header_));
    }
    DISTILLERY_RETURN_IF_ERROR(Write(header_));
    for (const TensorSpec& tensor : layout_.tensors()) {
      DISTILLERY_RETURN_IF_ERROR(AverageTensor(tensor));
    }
    DISTILLERY_RETURN_IF_ERROR(output_->Sync());
    DISTILLERY_RETURN_IF_ERROR(output_->Keep());
    DISTILLERY_RETURN_IF_ERROR(momentum_.Finish());
    DISTILLERY_RETURN_IF_ERROR(variance_.Finish());
    AverageResult result;
    result.weights_sha256 = digest_.HexDigest();
    result.momentum_sha256 = momentum_.HexDigest();
    result.variance_sha256 = variance_.HexDigest();
    result.delta_norms = norms_;
    return result;
  }

 private:
  absl::Status OpenInputs() {
    {
      const auto tensors = TensorSource::OpenFile(request_.weights_path);
      if (absl::IsInvalidArgument(tensors.status())) {
        return absl::DataLossError(
            absl::StrCat(request_.weights_path, ": ", tensors.status().message()));
      }
      if (!tensors.ok()) return tensors.status();
      layout_ = tensors->layout();
    }
    header_ = layout_.Header();
    DISTILLERY_ASSIGN_OR_RETURN(InputFile weights, InputFile::Open(request_.weights_path));
    weights_.emplace(std::move(weights));
    for (const ReplicaDelta& delta : request_.deltas) {
      total_weight_ += delta.weight;
      absl::Status status = deltas_.Add(delta.path, header_);
      if (status.ok()) continue;
      if (!IsDamage(status) || delta.sha256.empty()) return status;
      deltas_.AddMissing();
    }
    return absl::OkStatus();
  }

  // What an error means where the file was known to be sound once.
  static bool IsDamage(const absl::Status& status) {
    return absl::IsNotFound(status) || absl::IsDataLoss(status) ||
           absl::IsFailedPrecondition(status);
  }

  bool IsBuffer(const TensorSpec& tensor) const {
    return std::binary_search(request_.buffer_names.begin(), request_.buffer_names.end(),
                              tensor.name);
  }

  // One pass over the deltas, which tells the parameters' norms and what is damaged.
  absl::Status MeasureNorms() {
    for (size_t k = 0; k < deltas_.size(); ++k) {
      double squares = 0;
      const std::string& expected = request_.deltas[k].sha256;
      absl::Status read =
          deltas_.missing(k) ? absl::DataLossError("") : ReadDelta(k, expected, &squares);
      if (!read.ok()) {
        if (!IsDamage(read) || expected.empty()) return read;
        damaged_replicas_.push_back(static_cast<int64_t>(k));
      }
      norms_.push_back(std::sqrt(squares));
      const bool clipped = request_.clip_norm > 0 && norms_.back() > request_.clip_norm;
      scales_.push_back(clipped ? request_.clip_norm / norms_.back() : 1);
    }
    return absl::OkStatus();
  }

  // Adds the squares of the parameters. DATA_LOSS if the file's SHA-256 is not `expected`. Tensors
  // lie without gaps in the order of their names: a canonical file is its header and they.
  absl::Status ReadDelta(size_t k, const std::string& expected, double* squares) {
    Sha256 digest;
    digest.Update(header_);
    for (const TensorSpec& tensor : layout_.tensors()) {
      if (expected.empty() && IsBuffer(tensor)) continue;
      for (int64_t done = 0; done < tensor.byte_count; done += kFragmentBytes) {
        fragment_.resize(static_cast<size_t>(std::min(kFragmentBytes, tensor.byte_count - done)));
        DISTILLERY_RETURN_IF_ERROR(
            deltas_.ReadAt(k, layout_.data_start() + tensor.offset + done, &fragment_));
        if (!expected.empty()) digest.Update(fragment_);
        if (IsBuffer(tensor)) continue;
        if (tensor.type == ScalarType::kFloat32) AddSquares<float>(squares);
        if (tensor.type == ScalarType::kFloat64) AddSquares<double>(squares);
      }
    }
    if (expected.empty() || digest.HexDigest() == expected) return absl::OkStatus();
    return absl::DataLossError("its SHA-256 differs");
  }

  // Of the fragment.
  template <typename T>
  void AddSquares(double* squares) const {
    const auto count = static_cast<int64_t>(fragment_.size() / sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      const double value = Element<T>(fragment_, i);
      *squares += value * value;
    }
  }

  absl::Status AverageTensor(const TensorSpec& tensor) {
    const bool buffer = IsBuffer(tensor);
    // The robust methods hold all replicas' fragments at once: smaller ones then.
    const int64_t step =
        Robust(buffer)
            ? std::max(kLeastFragmentBytes, kFragmentBytes / static_cast<int64_t>(deltas_.size()) /
                                                kLeastFragmentBytes * kLeastFragmentBytes)
            : kFragmentBytes;
    for (int64_t done = 0; done < tensor.byte_count; done += step) {
      const int64_t offset = layout_.data_start() + tensor.offset + done;
      const int64_t size = std::min(step, tensor.byte_count - done);
      absl::Status status;
      if (tensor.type == ScalarType::kFloat32) {
        status = AverageFragment<float>(offset, size, buffer);
      } else if (tensor.type == ScalarType::kFloat64) {
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

  template <typename T>
  absl::Status WeightedMean(int64_t offset, int64_t count, bool buffer) {
    for (size_t k = 0; k < deltas_.size(); ++k) {
      DISTILLERY_RETURN_IF_ERROR(deltas_.ReadAt(k, offset, &fragment_));
      double weight = request_.deltas[k].weight / total_weight_;
      if (!buffer) weight *= scales_[k];
      for (int64_t i = 0; i < count; ++i) mean_[i] += weight * Element<T>(fragment_, i);
    }
    return absl::OkStatus();
  }

  // Trimmed mean or median of each element.
  template <typename T>
  absl::Status RobustMean(int64_t offset, int64_t count) {
    const size_t replicas = deltas_.size();
    rows_.resize(replicas * static_cast<size_t>(count));
    for (size_t k = 0; k < replicas; ++k) {
      DISTILLERY_RETURN_IF_ERROR(deltas_.ReadAt(k, offset, &fragment_));
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
    DISTILLERY_RETURN_IF_ERROR(DeltaFiles::Read(*weights_, offset, &fragment_));
    const double rate = request_.outer_learning_rate;
    const double momentum = request_.outer_momentum;
    if (!momentum_.open()) {
      for (int64_t i = 0; i < count; ++i) mean_[i] = Element<T>(fragment_, i) + rate * mean_[i];
      return absl::OkStatus();
    }
    const auto size = static_cast<int64_t>(fragment_.size());
    DISTILLERY_RETURN_IF_ERROR(momentum_.Read(offset, size));
    if (variance_.open()) {
      DISTILLERY_RETURN_IF_ERROR(variance_.Read(offset, size));
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
    DISTILLERY_RETURN_IF_ERROR(buffer ? deltas_.ReadAt(0, offset, &fragment_)
                                      : DeltaFiles::Read(*weights_, offset, &fragment_));
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

  const AverageRequest& request_;
  WeightsLayout layout_;
  std::string header_;
  std::optional<InputFile> weights_;
  DeltaFiles deltas_{MostOpenDeltas()};
  double total_weight_ = 0;
  std::vector<int64_t> damaged_replicas_;
  // Of each delta: its norm, and what it is multiplied by.
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
