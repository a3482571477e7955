#include "common/nn/model_format.h"

#include <sstream>

#include "common/base/archive.h"
#include "tests/common/nn/small_model.h"
#include "tests/common/zip_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = ModelFormat::Kind;

// A literal with zeros in it.
template <size_t kSize>
std::string Bytes(const char (&text)[kSize]) {
  return {text, kSize - 1};
}

std::string TorchScriptBytes() {
  std::ostringstream stream;
  BrightnessModule().save(stream);
  return stream.str();
}

TEST(ModelFormat, ReadsTorchScriptSafetensorsAndPackagesByTheirContent) {
  EXPECT_EQ(FormatOf(TorchScriptBytes()).kind, Kind::kTorchScript);
  EXPECT_EQ(FormatOf(Bytes("\x02\0\0\0\0\0\0\0{}")).kind, Kind::kSafetensors);
  EXPECT_EQ(FormatOf(ZipOf({{"net/data/aotinductor/model/net.so",
                             "\x7f"
                             "ELF"},
                            {"net/version", "1"}}))
                .kind,
            Kind::kCompiled);
}

TEST(ModelFormat, NamesWhatElseAFileIs) {
  const std::string state_dict = Bytes(
      "\x80\x02"
      "ccollections\nOrderedDict\nq\0)Rq\x01(X\x08\0\0\0l.weight");
  const std::string module = Bytes(
      "\x80\x02"
      "c__main__\nNet\nq\0)\x81q\x01}q\x02(X\x0b\0\0\0_parametersq\x04");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"", "an empty file"},
      {"text", "of no kind that is known"},
      {ZipOf({{"net/data.pkl", state_dict}, {"net/version", "3"}}), "a state_dict or checkpoint"},
      {ZipOf({{"net/data.pkl", module}, {"net/version", "3"}}), "a whole module pickled"},
      {ZipOf({{"net/models/model.json", "{}"}}), "an exported program"},
      {ZipOf({{"serialized_exported_program.json", "{}"}}), "an exported program"},
      {ZipOf({{"arr_0.npy", "\x93NUMPY"}}), "NumPy arrays"},
      {ZipOf({{"holiday.jpg", "x"}}), "a zip archive without a model"},
      {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", "before 1.6"},
      {Bytes("\x80\x04\x95\0\0"), "a Python pickle"},
      {"\x08\x07\x12\x07pytorch", "an ONNX model"},
      {"\x89HDF\r\n", "an HDF5 file"},
      {"....TFL3", "TensorFlow Lite"},
      {"version https://git-lfs.github.com/spec/v1", "Git LFS"},
      {"<!DOCTYPE html>", "a web page"},
      {"{\"format\": 1}", "JSON"},
      {"PK\x03\x04 and no more", "cut short"}};
  for (const auto& [bytes, what] : files) {
    const ModelFormat format = FormatOf(bytes);
    EXPECT_EQ(format.kind, Kind::kOther) << what;
    EXPECT_THAT(format.what, HasSubstr(what));
    EXPECT_THAT(format.way_out, Not(IsEmpty())) << what;
    EXPECT_THAT(OtherFormat("net.pt", "a TorchScript model", format),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("net.pt is not a TorchScript model: it is "),
                               HasSubstr(what), HasSubstr(format.way_out))));
  }
}

TEST(ModelFormat, Fault68_EveryPartOfAnArchiveHasItsChecksum) {
  const std::string whole = TorchScriptBytes();
  EXPECT_THAT(CheckUndamaged("net.pt", whole), IsOk());
  EXPECT_THAT(CheckUndamaged("net.bin", "no archive"), IsOk());
  const std::string parts =
      ZipOf({{"net/data/0", std::string(1000, 'a')}, {"net/data/1", std::string(1000, 'b')}});
  std::string damaged = parts;
  damaged[damaged.find("bbbb")] = 'c';
  EXPECT_THAT(CheckUndamaged("net.pt", damaged),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("net.pt"), HasSubstr("net/data/1"), HasSubstr("damaged"))));
  EXPECT_THAT(CheckUndamaged("net.pt", parts), IsOk());
}

TEST(ModelFormat, AnArchiveReadsTheStartOfAnEntry) {
  const std::string bytes = ZipOf({{"a", "first"}, {"b/c", "second entry"}});
  ASSERT_OK_AND_ASSIGN(const Archive archive, Archive::Open(bytes));
  EXPECT_THAT(archive.names(), ::testing::ElementsAre("a", "b/c"));
  EXPECT_EQ(archive.Read(1, 6), "second");
  EXPECT_EQ(archive.Read(0, 100), "first");
  EXPECT_THAT(Archive::Open("nothing"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery
