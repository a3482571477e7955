#include "coordinator/average.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kFragmentBytes = 1 << 20;

// A safetensors file read by position, without mapping: mapped pages would count as our memory.
class TensorFile {
 public:
  static absl::StatusOr<std::unique_ptr<TensorFile>> Open(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
    return std::unique_ptr<TensorFile>(new TensorFile(path, descriptor));
  }
  ~TensorFile() { close(descriptor_); }
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  absl::Status ReadAt(int64_t offset, std::string* bytes) const {
    size_t filled = 0;
    while (filled < bytes->size()) {
      const ssize_t got = pread(descriptor_, &(*bytes)[filled], bytes->size() - filled,
                                offset + static_cast<int64_t>(filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path_));
      if (got == 0) return absl::DataLossError(absl::StrCat(path_, " is cut short"));
      filled += static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }

 private:
  TensorFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  const std::string path_;
  const int descriptor_;
};

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

// Holds the open files and buffers of one averaging.
class Averager {
 public:
  explicit Averager(const AverageRequest& request)
      : request_(request), nesterov_(request.outer_optimizer == "nesterov") {}

  absl::StatusOr<std::string> Run() {
    DISTILLERY_RETURN_IF_ERROR(OpenInputs());
    DISTILLERY_ASSIGN_OR_RETURN(output_, OutputFile::Create(request_.weights_output));
    if (nesterov_) {
      DISTILLERY_ASSIGN_OR_RETURN(momentum_output_, OutputFile::Create(request_.momentum_output));
      DISTILLERY_RETURN_IF_ERROR(momentum_output_->Append(header_));
    }
    DISTILLERY_RETURN_IF_ERROR(Write(header_));
    for (const TensorSpec& tensor : layout_.tensors()) {
      DISTILLERY_RETURN_IF_ERROR(AverageTensor(tensor));
    }
    DISTILLERY_RETURN_IF_ERROR(output_->Sync());
    DISTILLERY_RETURN_IF_ERROR(output_->Keep());
    if (nesterov_) {
      DISTILLERY_RETURN_IF_ERROR(momentum_output_->Sync());
      DISTILLERY_RETURN_IF_ERROR(momentum_output_->Keep());
    }
    return digest_.HexDigest();
  }

 private:
  absl::Status OpenInputs() {
    {
      DISTILLERY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(request_.weights_path));
      const absl::StatusOr<WeightsLayout> layout = WeightsLayout::Parse(mapped->bytes());
      if (!layout.ok()) {
        return absl::DataLossError(
            absl::StrCat(request_.weights_path, ": ", layout.status().message()));
      }
      layout_ = *layout;
    }
    header_ = layout_.Header();
    DISTILLERY_ASSIGN_OR_RETURN(weights_, TensorFile::Open(request_.weights_path));
    for (const ReplicaDelta& delta : request_.deltas) {
      DISTILLERY_ASSIGN_OR_RETURN(auto file, TensorFile::Open(delta.path));
      std::string found(header_.size(), '\0');
      DISTILLERY_RETURN_IF_ERROR(file->ReadAt(0, &found));
      if (found != header_) {
        return absl::FailedPreconditionError(
            absl::StrCat(delta.path, ": its layout differs from the weights'"));
      }
      total_samples_ += static_cast<double>(delta.sample_count);
      deltas_.push_back(std::move(file));
    }
    if (nesterov_ && !request_.momentum_path.empty()) {
      DISTILLERY_ASSIGN_OR_RETURN(momentum_, TensorFile::Open(request_.momentum_path));
    }
    return absl::OkStatus();
  }

  absl::Status AverageTensor(const TensorSpec& tensor) {
    const bool buffer = std::binary_search(request_.buffer_names.begin(),
                                           request_.buffer_names.end(), tensor.name);
    for (int64_t done = 0; done < tensor.byte_count; done += kFragmentBytes) {
      const int64_t offset = layout_.data_start() + tensor.offset + done;
      const int64_t size = std::min(kFragmentBytes, tensor.byte_count - done);
      absl::Status status;
      if (tensor.type == ScalarType::kFloat32) {
        status = AverageFragment<float>(offset, size, buffer);
      } else if (tensor.type == ScalarType::kFloat64) {
        status = AverageFragment<double>(offset, size, buffer);
      } else {
        status = CopyFragment(offset, size, buffer);
      }
      if (!status.ok()) return Annotate(status, absl::StrCat("tensor \"", tensor.name, "\""));
    }
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status AverageFragment(int64_t offset, int64_t size, bool buffer) {
    const int64_t count = size / static_cast<int64_t>(sizeof(T));
    mean_.assign(static_cast<size_t>(count), 0.0);
    fragment_.resize(static_cast<size_t>(size));
    for (size_t k = 0; k < deltas_.size(); ++k) {
      DISTILLERY_RETURN_IF_ERROR(deltas_[k]->ReadAt(offset, &fragment_));
      const double weight = static_cast<double>(request_.deltas[k].sample_count) / total_samples_;
      for (int64_t i = 0; i < count; ++i) mean_[i] += weight * Element<T>(fragment_, i);
    }
    if (!buffer) DISTILLERY_RETURN_IF_ERROR(ApplyOuter<T>(offset, count));
    for (int64_t i = 0; i < count; ++i) {
      if (!std::isfinite(static_cast<T>(mean_[i]))) {
        return absl::DataLossError("the average is not finite");
      }
      SetElement<T>(&fragment_, i, mean_[i]);
    }
    DISTILLERY_RETURN_IF_ERROR(Write(fragment_));
    return WriteMomentum(buffer, size);
  }

  // Turns the mean delta into new weights, in place.
  template <typename T>
  absl::Status ApplyOuter(int64_t offset, int64_t count) {
    DISTILLERY_RETURN_IF_ERROR(weights_->ReadAt(offset, &fragment_));
    const double rate = request_.outer_learning_rate;
    if (!nesterov_) {
      for (int64_t i = 0; i < count; ++i) mean_[i] = Element<T>(fragment_, i) + rate * mean_[i];
      return absl::OkStatus();
    }
    const double momentum = request_.outer_momentum;
    momentum_fragment_.assign(fragment_.size(), '\0');
    if (momentum_ != nullptr) {
      DISTILLERY_RETURN_IF_ERROR(momentum_->ReadAt(offset, &momentum_fragment_));
    }
    for (int64_t i = 0; i < count; ++i) {
      const double gradient = -mean_[i];
      SetElement<T>(&momentum_fragment_, i,
                    momentum * Element<T>(momentum_fragment_, i) + gradient);
      // The stored m, so that a restart between rounds changes nothing.
      const double stored = Element<T>(momentum_fragment_, i);
      mean_[i] = Element<T>(fragment_, i) - rate * (gradient + momentum * stored);
    }
    return absl::OkStatus();
  }

  // Types without arithmetic: buffers take replica 0's value, parameters stay.
  absl::Status CopyFragment(int64_t offset, int64_t size, bool buffer) {
    fragment_.resize(static_cast<size_t>(size));
    const TensorFile& source = buffer ? *deltas_[0] : *weights_;
    DISTILLERY_RETURN_IF_ERROR(source.ReadAt(offset, &fragment_));
    DISTILLERY_RETURN_IF_ERROR(Write(fragment_));
    return WriteMomentum(/*buffer=*/true, size);
  }

  absl::Status WriteMomentum(bool buffer, int64_t size) {
    if (!nesterov_) return absl::OkStatus();
    if (buffer) momentum_fragment_.assign(static_cast<size_t>(size), '\0');
    return momentum_output_->Append(momentum_fragment_);
  }

  absl::Status Write(const std::string& bytes) {
    digest_.Update(bytes);
    return output_->Append(bytes);
  }

  const AverageRequest& request_;
  const bool nesterov_;
  WeightsLayout layout_;
  std::string header_;
  std::unique_ptr<TensorFile> weights_;
  std::unique_ptr<TensorFile> momentum_;
  std::vector<std::unique_ptr<TensorFile>> deltas_;
  double total_samples_ = 0;
  std::unique_ptr<OutputFile> output_;
  std::unique_ptr<OutputFile> momentum_output_;
  Sha256 digest_;
  std::vector<double> mean_;
  std::string fragment_;
  std::string momentum_fragment_;
};

// IEEE formats are not finite exactly when all exponent bits are set.
template <typename Bits>
bool AllFinite(absl::string_view bytes, Bits exponent) {
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits value;
    std::memcpy(&value, bytes.data() + at, sizeof(Bits));
    if ((value & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> AverageDeltas(const AverageRequest& request) {
  return Averager(request).Run();
}

absl::Status CheckFinite(const WeightsLayout& layout, absl::string_view file) {
  for (const TensorSpec& tensor : layout.tensors()) {
    const absl::string_view bytes =
        file.substr(static_cast<size_t>(layout.data_start() + tensor.offset),
                    static_cast<size_t>(tensor.byte_count));
    bool finite = true;
    switch (tensor.type) {
      case ScalarType::kFloat32: finite = AllFinite<uint32_t>(bytes, 0x7F800000U); break;
      case ScalarType::kFloat64: finite = AllFinite<uint64_t>(bytes, 0x7FF0000000000000U); break;
      case ScalarType::kFloat16: finite = AllFinite<uint16_t>(bytes, 0x7C00U); break;
      case ScalarType::kBFloat16: finite = AllFinite<uint16_t>(bytes, 0x7F80U); break;
      default: break;
    }
    if (!finite) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: tensor \"", tensor.name, "\" holds NaN or infinity"));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
