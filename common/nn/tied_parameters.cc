#include "common/nn/tied_parameters.h"

#include <ATen/MemoryOverlap.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

// Two tensors without elements lie nowhere, so they are never tied.
bool AreTied(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_same(b)) return true;
  return a.numel() > 0 && a.data_ptr() == b.data_ptr() && a.scalar_type() == b.scalar_type() &&
         a.sizes() == b.sizes() && a.strides() == b.strides() && a.is_alias_of(b) &&
         a.requires_grad() == b.requires_grad();
}

using Storage = const c10::StorageImpl*;

Storage StorageOf(const at::Tensor& tensor) {
  return tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
}

// The names of each tensor, in the module's order. Parameters of a large model have a storage each,
// so only those of one storage are compared.
std::vector<std::vector<NamedTensor>> Groups(const torch::jit::Module& module) {
  std::vector<std::vector<NamedTensor>> groups;
  std::map<Storage, std::vector<size_t>> of_storage;
  for (const auto& parameter : module.named_parameters()) {
    std::vector<size_t>& candidates = of_storage[StorageOf(parameter.value)];
    const auto found = std::find_if(candidates.begin(), candidates.end(), [&](size_t group) {
      return AreTied(groups[group].front().second, parameter.value);
    });
    if (found != candidates.end()) {
      groups[*found].emplace_back(parameter.name, parameter.value);
      continue;
    }
    candidates.push_back(groups.size());
    groups.push_back({{parameter.name, parameter.value}});
  }
  return groups;
}

// Whether an element of one is an element of the other, as far as can be told: tensors with gaps
// that lie within each other count as such.
bool Overlap(const at::Tensor& a, const at::Tensor& b) {
  return a.has_storage() && b.has_storage() && a.is_alias_of(b) &&
         at::get_overlap_status(a, b) != at::MemOverlapStatus::No;
}

}  // namespace

std::vector<NamedTensor> DistinctParameters(const torch::jit::Module& module) {
  std::vector<NamedTensor> distinct;
  for (std::vector<NamedTensor>& names : Groups(module))
    distinct.push_back(std::move(names.front()));
  return distinct;
}

Ties TiesOf(const torch::jit::Module& module) {
  Ties ties;
  for (const std::vector<NamedTensor>& group : Groups(module)) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : group) names.push_back(name);
    std::sort(names.begin(), names.end());
    for (size_t i = 1; i < names.size(); ++i) ties[names[i]] = names[0];
  }
  return ties;
}

void UniteTies(torch::jit::Module& module) {
  std::map<std::string, at::Tensor> one;
  for (const std::vector<NamedTensor>& group : Groups(module)) {
    for (const auto& [name, tensor] : group) one[name] = group.front().second;
  }
  for (const auto& owner : module.named_modules()) {
    torch::jit::Module part = owner.value;
    for (const auto& parameter : part.named_parameters(/*recurse=*/false)) {
      const std::string name =
          owner.name.empty() ? parameter.name : absl::StrCat(owner.name, ".", parameter.name);
      const auto first = one.find(name);
      if (first == one.end() || first->second.is_same(parameter.value)) continue;
      part.setattr(parameter.name, first->second);
    }
  }
}

absl::Status CheckSharedMemory(const torch::jit::Module& module) {
  struct Part {
    std::string what;
    std::string name;
    at::Tensor tensor;
    bool trained;
  };
  std::map<Storage, std::vector<Part>> of_storage;
  for (const auto& [name, tensor] : DistinctParameters(module)) {
    of_storage[StorageOf(tensor)].push_back({"parameter", name, tensor, tensor.requires_grad()});
  }
  for (const auto& buffer : module.named_buffers()) {
    of_storage[StorageOf(buffer.value)].push_back({"buffer", buffer.name, buffer.value, false});
  }
  for (const auto& [storage, parts] : of_storage) {
    for (size_t i = 0; i < parts.size(); ++i) {
      for (size_t j = i + 1; j < parts.size(); ++j) {
        const Part& a = parts[i];
        const Part& b = parts[j];
        if (!(a.trained || b.trained) || !Overlap(a.tensor, b.tensor)) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            a.what, " \"", a.name, "\" and ", b.what, " \"", b.name,
            "\" share memory but are not the same tensor with the same requires_grad: tie them as "
            "one parameter (b.weight = a.weight), or give one of them a copy (clone())"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTiesAgree(const Weights& weights, const Ties& ties) {
  for (const auto& [name, first] : ties) {
    const TensorSpec* const a = weights.layout().Find(first);
    const TensorSpec* const b = weights.layout().Find(name);
    if (a == nullptr || b == nullptr || weights.Bytes(*a) == weights.Bytes(*b)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the student ties \"", name, "\" to \"", first,
                     "\", but the weights hold unlike values for them: give both the same"));
  }
  return absl::OkStatus();
}

}  // namespace distillery
