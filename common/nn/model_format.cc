#include "common/nn/model_format.h"

#include <algorithm>
#include <cstdint>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/archive.h"

namespace distillery {
namespace {

using Kind = ModelFormat::Kind;

// Ways out that more than one kind of file has.
constexpr char kLoadStateDict[] =
    "Load it into its network in Python and save that: net = Net(); "
    "net.load_state_dict(torch.load(FILE)); torch.jit.script(net.eval()).save(\"model.pt\")";
constexpr char kScript[] =
    "Load it in Python and save it as TorchScript: "
    "torch.jit.script(torch.load(FILE).eval()).save(\"model.pt\")";
constexpr char kFromItsSource[] =
    "Save TorchScript from the PyTorch model that it was made from: "
    "torch.jit.script(net.eval()).save(\"model.pt\")";
constexpr char kCopyAgain[] = "Copy it again from where it came";

// Files that their first bytes tell.
struct Signature {
  size_t offset;
  absl::string_view bytes;
  const char* what;
  const char* way_out;
};

const Signature kSignatures[] = {
    {0,
     {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14},
     "a pickle of torch.save as PyTorch before 1.6 wrote it, a state_dict or a whole module",
     kLoadStateDict},
    {0, {"\x80\x02", 2}, "a Python pickle", kScript},
    {0, {"\x80\x03", 2}, "a Python pickle", kScript},
    {0, {"\x80\x04", 2}, "a Python pickle", kScript},
    {0, {"\x80\x05", 2}, "a Python pickle", kScript},
    {0, "\x89HDF", "an HDF5 file, such as Keras writes", kFromItsSource},
    {4, "TFL3", "a TensorFlow Lite model", kFromItsSource},
    {4, "PTMF", "TorchScript for the mobile interpreter as a flatbuffer, without code",
     kFromItsSource},
    {0, "GGUF", "a GGUF file of weights", kFromItsSource},
    {0, "\x93NUMPY", "a NumPy array", kFromItsSource},
    {0, "\x1f\x8b", "compressed with gzip", "Unpack it first: gunzip"},
    {257, "ustar", "a tar archive", "Unpack it first: tar xf"},
    {0, "version https://git-lfs", "a pointer of Git LFS in place of the file",
     "Fetch the file itself: git lfs pull"},
    {0, "<!DOCTYPE", "a web page", "The download went wrong: fetch the file itself"},
    {0, "<html", "a web page", "The download went wrong: fetch the file itself"},
    {0, "{", "JSON text", "A model card goes beside its model, --card FILE"},
    // A zip archive that ends where its list of contents should be.
    {0, "PK\x03\x04", "a zip archive, cut short or damaged", kCopyAgain},
};

// Eight bytes with the header's length, then the header, JSON.
bool IsSafetensors(absl::string_view bytes) {
  if (bytes.size() < 10 || bytes[8] != '{') return false;
  uint64_t size = 0;
  for (int i = 7; i >= 0; --i) {
    size = (size << 8) | static_cast<uint8_t>(bytes[static_cast<size_t>(i)]);
  }
  return size <= bytes.size() - 8;
}

// ModelProto has no signature: field 1 is the version of the format, a small number, and behind it
// comes one of the others (onnx.proto).
bool LooksLikeOnnx(absl::string_view bytes) {
  constexpr absl::string_view kTags = "\x12\x1a\x22\x28\x32\x3a\x42\x72";
  return bytes.size() > 4 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 64 &&
         absl::StrContains(kTags, bytes[2]);
}

// Files that are zip archives by what they hold.
ModelFormat FormatOfArchive(const Archive& archive) {
  const std::vector<std::string>& names = archive.names();
  const auto find = [&](const std::function<bool(const std::string&)>& is) {
    return static_cast<size_t>(std::find_if(names.begin(), names.end(), is) - names.begin());
  };
  const auto holds = [&](const char* part) {
    return find([&](const std::string& name) { return absl::StrContains(name, part); }) <
           names.size();
  };
  const size_t pickle =
      find([](const std::string& name) { return absl::EndsWith(name, "/data.pkl"); });
  if (holds("data/aotinductor/")) {
    return {Kind::kCompiled, "an AOTInductor package",
            "Serve it with teacher_service, or save TorchScript from the PyTorch model that it was "
            "made from: torch.jit.script(net.eval()).save(\"model.pt\")"};
  }
  if (holds("models/model.json") || holds("serialized_exported_program.json")) {
    return {Kind::kOther, "an exported program (torch.export.save)",
            "Trace it in Python: torch.jit.trace(torch.export.load(FILE).module(), "
            "inputs).save(\"model.pt\"), or compile it: torch._inductor.aoti_compile_and_package"};
  }
  // What PyTorch before 1.4 wrote has code and no constants.pkl.
  if (holds("/constants.pkl") || holds("/code/")) {
    return {Kind::kTorchScript, "a TorchScript model", ""};
  }
  if (pickle < names.size()) {
    // A module is pickled by the name of its class, tensors in dictionaries by those of PyTorch
    // alone.
    constexpr size_t kFirstBytes = 4096;
    const std::string start = archive.Read(pickle, kFirstBytes);
    constexpr absl::string_view kParametersOfAModule("\x0b\0\0\0_parameters", 15);
    const bool module = absl::StrContains(start, "ctorch.nn.modules") ||
                        absl::StrContains(start, kParametersOfAModule);
    if (module)
      return {Kind::kOther, "a whole module pickled by torch.save, without code", kScript};
    return {Kind::kOther, "a state_dict or checkpoint of torch.save, weights without code",
            kLoadStateDict};
  }
  if (holds("model.weights.h5")) return {Kind::kOther, "a Keras model", kFromItsSource};
  if (holds(".npy")) return {Kind::kOther, "NumPy arrays (NPZ)", kFromItsSource};
  return {Kind::kOther, "a zip archive without a model in it", kFromItsSource};
}

}  // namespace

ModelFormat FormatOf(absl::string_view bytes) {
  if (bytes.empty()) return {Kind::kOther, "an empty file", kCopyAgain};
  if (absl::StartsWith(bytes, "PK")) {
    const absl::StatusOr<Archive> archive = Archive::Open(bytes);
    if (archive.ok()) return FormatOfArchive(*archive);
  }
  if (IsSafetensors(bytes)) {
    return {Kind::kSafetensors, "a safetensors file, weights without code",
            "Load it into its network in Python and save that: net = Net(); "
            "net.load_state_dict(safetensors.torch.load_file(FILE)); "
            "torch.jit.script(net.eval()).save(\"model.pt\")"};
  }
  for (const Signature& signature : kSignatures) {
    if (bytes.size() >= signature.offset &&
        absl::StartsWith(bytes.substr(signature.offset), signature.bytes)) {
      return {Kind::kOther, signature.what, signature.way_out};
    }
  }
  if (LooksLikeOnnx(bytes)) return {Kind::kOther, "an ONNX model", kFromItsSource};
  return {Kind::kOther, "of no kind that is known here", kFromItsSource};
}

absl::Status CheckUndamaged(const std::string& path, absl::string_view bytes) {
  const absl::StatusOr<Archive> archive = Archive::Open(bytes);
  if (!archive.ok()) return absl::OkStatus();
  const absl::Status whole = archive->Verify();
  if (whole.ok()) return whole;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", std::string(whole.message()), ". ", kCopyAgain));
}

absl::Status OtherFormat(const std::string& path, const std::string& wanted,
                         const ModelFormat& format) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is not ", wanted, ": it is ", format.what, ". ", format.way_out));
}

}  // namespace distillery
