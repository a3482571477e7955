#include "common/nn/numerics.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/script.h>

#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/environment.h"
#include "common/nn/torch_version.h"

namespace distillery {
namespace {

template <typename Function>
Function* LoadedSymbol(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

std::string BlasName() {
  auto* const core = LoadedSymbol<char*()>("openblas_get_corename");
  if (core != nullptr) return absl::StrCat("OpenBLAS/", core());
  return at::hasMKL() ? "MKL" : "other BLAS (slow: install libopenblas0-pthread)";
}

// From "... - CPU capability usage: AVX512 ..." of LibTorch's own description.
std::string InstructionSet() {
  static constexpr char kLabel[] = "CPU capability usage: ";
  const std::string config = at::show_config();
  const size_t at = config.find(kLabel);
  if (at == std::string::npos) return "unknown";
  const size_t start = at + sizeof(kLabel) - 1;
  return config.substr(start, config.find_first_of(" \n", start) - start);
}

// Inside of a forward pass the interpreter makes a plain error of what it caught, so that the text
// alone tells. The first is of CUDA's allocator and CUDA itself, in all releases, the last of a
// CPU's.
bool SaysOutOfMemory(const std::string& text) {
  for (const char* const sign : {"out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
                                 "CUDNN_STATUS_ALLOC_FAILED", "can't allocate memory"}) {
    if (absl::StrContains(text, sign)) return true;
  }
  return false;
}

std::string OneDnnIsa() {
  auto* const isa = LoadedSymbol<int()>("dnnl_get_effective_cpu_isa");
  return isa == nullptr ? "none" : absl::StrCat(isa());
}

}  // namespace

void ConfigureTorch(int64_t compute_threads) {
  const auto threads = static_cast<int>(compute_threads);
  at::set_num_threads(threads);
  auto* const blas_threads = LoadedSymbol<int()>("openblas_get_num_threads");
  auto* const set_blas_threads = LoadedSymbol<void(int)>("openblas_set_num_threads");
  static std::mutex changing;
  if (blas_threads != nullptr && set_blas_threads != nullptr) {
    const std::lock_guard<std::mutex> lock(changing);
    if (blas_threads() != threads) set_blas_threads(threads);
  }
  UseExactCuda();
  TurnOffProfiling();
}

void TurnOffProfiling() {
  torch::jit::getProfilingMode() = false;
  torch::jit::setGraphExecutorOptimize(false);
}

std::string NumericsFingerprint(const std::string& device_kind) {
  return absl::StrCat("isa=", InstructionSet(), " onednn=", OneDnnIsa(), " blas=", BlasName(),
                      " torch=", TORCH_VERSION, " device=", device_kind,
                      " precision=float32 policy=", ProcessNumerics());
}

std::string ComputeDescription(int64_t compute_threads) {
  const char* const wait = std::getenv("OMP_WAIT_POLICY");
  return absl::StrCat("computing with ", compute_threads, " thread(s), ", BlasName(), ", ",
                      InstructionSet(), ", OMP_WAIT_POLICY=", wait == nullptr ? "(default)" : wait,
                      ", LibTorch ", TORCH_VERSION, ", ", AvailableCores(),
                      " core(s) available, numerics ", ProcessNumerics());
}

absl::Status CatchTorchErrors(const std::function<absl::Status()>& body) {
  // TorchScript's errors begin with a generic line and a trace; the line that matters comes last.
  const auto brief = [](const std::string& text) {
    std::string best;
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      const absl::string_view stripped = absl::StripAsciiWhitespace(line);
      if (stripped.empty()) continue;
      if (best.empty()) best = std::string(stripped);
      if (absl::StrContains(stripped, "Error: ")) best = std::string(stripped);
    }
    return best.substr(0, 400);
  };
  const auto status = [&](const std::string& text) {
    return SaysOutOfMemory(text) ? absl::ResourceExhaustedError(brief(text))
                                 : absl::InternalError(brief(text));
  };
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(brief(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    return status(error.what_without_backtrace());
  } catch (const std::bad_alloc& error) {
    return absl::ResourceExhaustedError("no memory");
  } catch (const std::exception& error) {
    return status(error.what());
  }
}

}  // namespace distillery
