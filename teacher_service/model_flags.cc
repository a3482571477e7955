#include "teacher_service/model_flags.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

absl::Status ReadRows(const std::string& key, const std::string& value, int64_t* rows) {
  constexpr int64_t kMost = 65536;
  if (absl::SimpleAtoi(value, rows) && *rows >= 1 && *rows <= kMost) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--model: ", key, " must be 1 to ", kMost, ", got \"", value, "\""));
}

std::string Canonical(const std::string& device) { return device == "cuda" ? "cuda:0" : device; }

}  // namespace

absl::StatusOr<ModelFlag> ParseModelFlag(const std::string& text, const ModelFlag& defaults) {
  ModelFlag flag = defaults;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  const size_t equals = parts[0].find('=');
  flag.path = equals == std::string::npos ? parts[0] : parts[0].substr(equals + 1);
  if (flag.path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--model \"", text, "\" names no file: write NAME=FILE"));
  }
  if (equals != std::string::npos) {
    flag.name = parts[0].substr(0, equals);
  } else {
    flag.name = BaseName(flag.path);
    if (const size_t dot = flag.name.rfind('.'); dot != std::string::npos && dot > 0) {
      flag.name.resize(dot);
    }
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    const auto& [key, value] = pair;
    if (key == "device") {
      DISTILLERY_ASSIGN_OR_RETURN(flag.devices, ParseDevices(value, '+'));
    } else if (key == "precision") {
      flag.precision = value;
    } else if (key == "card") {
      flag.card_path = value;
    } else if (key == "batch_rows") {
      DISTILLERY_RETURN_IF_ERROR(ReadRows(key, value, &flag.batch_rows));
    } else if (key == "max_batch_rows") {
      DISTILLERY_RETURN_IF_ERROR(ReadRows(key, value, &flag.max_batch_rows));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "--model ", flag.name, ": ",
          UnknownName("key", key,
                      {"device", "precision", "card", "batch_rows", "max_batch_rows"})));
    }
  }
  return flag;
}

absl::StatusOr<std::vector<std::string>> ParseDevices(const std::string& text, char separator) {
  std::vector<std::string> devices = absl::StrSplit(text, separator);
  std::set<std::string> seen;
  for (const std::string& device : devices) {
    if (device.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("device \"", text,
                                                     "\": write cpu, cuda, or "
                                                     "cuda:0",
                                                     std::string(1, separator), "cuda:1"));
    }
    if (!seen.insert(Canonical(device)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("device \"", text, "\" names ", device, " twice"));
    }
  }
  return devices;
}

int DefaultComputeSlots(const std::vector<ModelFlag>& models, int cores) {
  constexpr int kSlotsPerGpu = 4;
  std::set<std::string> gpus;
  bool on_cpu = models.empty();
  for (const ModelFlag& model : models) {
    for (const std::string& device : model.devices) {
      if (device == "cpu") {
        on_cpu = true;
      } else {
        gpus.insert(Canonical(device));
      }
    }
  }
  const int for_gpus = kSlotsPerGpu * static_cast<int>(gpus.size());
  return on_cpu ? std::max(cores, for_gpus) : for_gpus;
}

}  // namespace distillery
