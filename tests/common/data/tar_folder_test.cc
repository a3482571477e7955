#include "common/data/tar_folder.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "common/base/files.h"
#include "common/data/dataset.h"
#include "common/data/image_folder.h"
#include "common/data/png_file.h"
#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One member of ustar, or of another type.
std::string Member(const std::string& name, const std::string& bytes, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char number[16];
  std::snprintf(number, sizeof number, "%011o", static_cast<unsigned>(bytes.size()));
  header.replace(124, 11, number);
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<uint8_t>(byte);
  std::snprintf(number, sizeof number, "%06o", sum);
  header.replace(148, 7, std::string(number, 7));
  return header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
}

std::string Archive(const std::string& members) { return members + std::string(1024, '\0'); }

std::string Grey(uint8_t left, uint8_t right) { return *EncodePng({{1, 1, 2}, {left, right}}); }

class TarFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) {
    const std::string path = folder_.File(name);
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  }
  void WriteTest() { Write("test-0.tar", Archive(Member("dog/t.png", Grey(7, 8)))); }
  absl::StatusOr<StoredSamples> Read() { return ReadTarFolder("pets", folder_.path()); }
  // What reading says with this as the only archive of train.
  absl::Status Fault(const std::string& train) {
    WriteTest();
    Write("train-0.tar", train);
    return Read().status();
  }
  TemporaryFolder folder_;
};

TEST_F(TarFolderTest, AFolderOfImagesAndItsArchivesAreOneDataSet) {
  Write("train-0.tar", Archive(Member("dog/b.png", Grey(5, 6)) + Member("cat/z.png", Grey(1, 2))));
  Write("train-1.tar", Archive(Member("./dog/a-1.png", Grey(9, 9)) +
                               Member("dog/a.png", Grey(3, 4)) + Member("dog/a.txt", "a dog")));
  WriteTest();
  EXPECT_TRUE(HoldsTar(folder_.path()));
  ASSERT_OK_AND_ASSIGN(StoredSamples packed, Read());
  EXPECT_THAT(CheckSamples(packed), IsOk());
  EXPECT_THAT(packed.class_names, ElementsAre("cat", "dog"));
  ASSERT_EQ(packed.left_out.size(), 1U);
  EXPECT_EQ(packed.left_out[0].what, "1 members .txt such as train-1.tar: dog/a.txt");

  TemporaryFolder loose;
  for (const auto& [name, bytes] :
       {std::pair{"train/dog/b.png", Grey(5, 6)}, std::pair{"train/cat/z.png", Grey(1, 2)},
        std::pair{"train/dog/a-1.png", Grey(9, 9)}, std::pair{"train/dog/a.png", Grey(3, 4)},
        std::pair{"test/dog/t.png", Grey(7, 8)}}) {
    ASSERT_THAT(MakeFolders(FolderOf(loose.File(name))), IsOk());
    ASSERT_THAT(WriteFileDurably(loose.File(name), bytes), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(StoredSamples images, ReadImageFolder("pets", loose.path()));
  const DatasetReference reference{"pets", "train", 2};
  ASSERT_OK_AND_ASSIGN(
      const auto one,
      Dataset::Create(std::make_shared<const StoredSamples>(std::move(packed)), reference));
  ASSERT_OK_AND_ASSIGN(
      const auto other,
      Dataset::Create(std::make_shared<const StoredSamples>(std::move(images)), reference));
  EXPECT_EQ(one->digest(), other->digest());
}

TEST_F(TarFolderTest, LabelsAreNumbersNamesOrFolders) {
  WriteTest();
  Write("test-0.tar", Archive(Member("9.png", Grey(1, 1)) + Member("9.cls", "1\n")));
  Write("train-0.tar", Archive(Member("1.png", Grey(1, 1)) + Member("1.cls", "1") +
                               Member("2.cls", "0") + Member("2.png", Grey(2, 2))));
  ASSERT_OK_AND_ASSIGN(const StoredSamples numbered, Read());
  EXPECT_THAT(numbered.class_names, ElementsAre("0", "1"));
  EXPECT_THAT(numbered.labels, ElementsAre(0, 1, 1));
  Write("classes.txt", "zebra\nant\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples named, Read());
  EXPECT_THAT(named.class_names, ElementsAre("zebra", "ant"));
  Write("test-0.tar", Archive(Member("9.png", Grey(1, 1)) + Member("9.json", R"({"cls": 1})")));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("the sample 9 has its label from \"cls\"")));
}

// NPY 1.0.
std::string Npy(const std::string& type, const std::string& shape, const std::string& elements) {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size()) + '\0' + header +
         elements;
}
std::string Floats(const std::vector<float>& values, const std::string& shape = "(2,)") {
  return Npy("<f4", shape,
             std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
}

TEST_F(TarFolderTest, ArraysAreSamplesToo) {
  Write("val-0.tar", Archive(Member("9.npy", Floats({5, 6})) + Member("9.cls", "1")));
  Write("train-0.tar", Archive(Member("1.mel.npy", Floats({1, 2})) + Member("1.cls", "1") +
                               Member("2.npy", Floats({3, 4})) + Member("2.cls", "0")));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.spec.ToString(), "features float32 [2] -> classes");
  EXPECT_THAT(samples.labels, ElementsAre(0, 1, 1));
  std::vector<float> record(2);
  ASSERT_THAT(ReadRecord(samples, 0, reinterpret_cast<uint8_t*>(record.data())), IsOk());
  EXPECT_THAT(record, ElementsAre(3, 4));
}

TEST_F(TarFolderTest, ArraysThatAreNotAsTheFirstAreNamed) {
  const auto second = [&](const std::string& array) -> std::string {
    Write("val-0.tar", Archive(Member("9.npy", Floats({5, 6})) + Member("9.cls", "1")));
    Write("train-0.tar", Archive(Member("1.npy", Floats({1, 2})) + Member("1.cls", "0") +
                                 Member("2.npy", array) + Member("2.cls", "1")));
    const absl::StatusOr<StoredSamples> samples = Read();
    EXPECT_THAT(samples, IsOk());
    if (!samples.ok()) return "";
    std::vector<uint8_t> record(8);
    return std::string(ReadRecord(*samples, 1, record.data()).message());
  };
  EXPECT_THAT(second(Floats({1, 2, 3}, "(3,)")),
              HasSubstr("train-0.tar: the member at byte 2560 is <f4 [3], the first array is <f4 "
                        "[2]; all arrays"));
  EXPECT_THAT(second(Floats({1, NAN})), HasSubstr("element 1 is nan"));
  EXPECT_THAT(second("no"), HasSubstr("the member at byte 2560"));
  Write("train-0.tar",
        Archive(Member("1.npy", Npy("<i4", "(1,)", std::string(4, '\0'))) + Member("1.cls", "0")));
  EXPECT_THAT(Read().status().message(), HasSubstr("has whole numbers, <i4"));
  EXPECT_THAT(Fault(Archive(Member("1.npy", Floats({1, 2})) + Member("1.cls", "0"))).message(),
              HasSubstr("is a picture, those before it are arrays"));
}

TEST_F(TarFolderTest, OptionsThatMeanNothingHereAreRefused) {
  WriteTest();
  Write("train-0.tar", Archive(Member("cat/1.png", Grey(1, 2)) + Member("dog/2.png", Grey(3, 4))));
  for (const char* const options : {R"({"skip_corrupt": true})", R"({"test_fraction": 0.5})"}) {
    Write("dataset.json", options);
    EXPECT_THAT(Read(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is for folders of")));
  }
  Write("dataset.json", R"({"height": 1, "width": 1, "resize": "crop"})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "image uint8 [1, 1, 1] / 255 -> classes");
}

TEST_F(TarFolderTest, LongNamesOfPaxAndGnuAreTaken) {
  const std::string folder(120, 'x');
  const std::string record = "path=" + folder + "/cat/1.png\n";
  const std::string pax = std::to_string(record.size() + 4) + " " + record;
  Write("train-0.tar",
        Archive(Member("pax", pax, 'x') + Member("short", Grey(1, 2)) +
                Member("long", folder + "/dog/2.png", 'L') + Member("short", Grey(3, 4))));
  WriteTest();
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.class_names, ElementsAre("cat", "dog"));
}

TEST_F(TarFolderTest, FaultsNameTheArchiveAndThePlace) {
  const std::string sample = Member("cat/1.png", Grey(1, 2));
  const auto says = [](absl::StatusCode code, const std::string& text) {
    return StatusIs(code, HasSubstr(text));
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const auto lost = absl::StatusCode::kDataLoss;
  EXPECT_THAT(Fault(sample), says(lost, "train-0.tar: at byte 1024: the archive is cut short"));
  EXPECT_THAT(Fault(sample.substr(0, 540)), says(lost, "cut short: member cat/1.png has"));
  EXPECT_THAT(Fault(Archive("")), says(invalid, "train-0.tar holds no samples"));
  EXPECT_THAT(Fault(Archive(sample) + Archive(sample)), says(invalid, "more follows"));
  EXPECT_THAT(Fault(Archive(Member("../1.png", ""))), says(invalid, "../1.png leads outside"));
  EXPECT_THAT(Fault(Archive(Member("/1.png", ""))), says(invalid, "/1.png leads outside"));
  EXPECT_THAT(Fault(Archive(Member("1.png", Grey(1, 2)))), says(invalid, "has no label"));
  EXPECT_THAT(Fault(Archive(Member("cat/1.cls", "0"))), says(invalid, "has no picture"));
  EXPECT_THAT(Fault(Archive(sample + Member("cat/1.jpg", "x"))),
              says(invalid, "two pictures or arrays"));
  EXPECT_THAT(Fault(Archive(sample + Member("dog/2.png", Grey(1, 2)) + sample)),
              says(invalid, "two samples have the key cat/1"));
  EXPECT_THAT(Fault(std::string("\x1F\x8B\x08", 3) + std::string(600, 'x')),
              says(invalid,
                   "train-0.tar is gzip-compressed: members cannot be read on demand; run "
                   "gunzip"));
  EXPECT_THAT(Fault(std::string(2048, 'x')), says(invalid, "this is no tar archive"));
}

TEST_F(TarFolderTest, APictureThatIsDamagedIsNamedWhenItIsRead) {
  Write("train-0.tar", Archive(Member("cat/1.png", Grey(1, 2)) + Member("dog/2.png", "no")));
  WriteTest();
  ASSERT_OK_AND_ASSIGN(StoredSamples samples, Read());
  std::vector<uint8_t> record(2);
  EXPECT_THAT(ReadRecord(samples, 0, record.data()), IsOk());
  EXPECT_THAT(record, ElementsAre(1, 2));
  EXPECT_THAT(ReadRecord(samples, 1, record.data()).message(),
              HasSubstr("train-0.tar: the member at byte "));
}

}  // namespace
}  // namespace distillery
