#include "common/data/kept_pictures.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/data/dataset.h"
#include "common/data/image_folder.h"
#include "common/data/png_file.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(KeptPictures, WhatWasKeptIsThereForTheSameKeyAlone) {
  TemporaryFolder folder;
  const KeptPictures kept(folder.path(), "one");
  EXPECT_FALSE(kept.Load().has_value());
  const std::vector<uint8_t> pixels = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(kept.Store({1, 1, 2}, pixels).has_value());
  const auto content = kept.Load();
  ASSERT_TRUE(content.has_value());
  EXPECT_EQ(content->shape, (ImageShape{1, 1, 2}));
  ASSERT_EQ(content->records->count(), 3);
  std::vector<uint8_t> record(2);
  ASSERT_THAT(content->records->Read(1, record.data()), IsOk());
  EXPECT_THAT(record, ElementsAre(3, 4));
  EXPECT_FALSE(KeptPictures(folder.path(), "two").Load().has_value());
  // The other key's take its place.
  ASSERT_TRUE(KeptPictures(folder.path(), "two").Store({1, 1, 2}, pixels).has_value());
  EXPECT_FALSE(kept.Load().has_value());
}

TEST(KeptPictures, AFileThatIsNotWholeIsNotUsed) {
  TemporaryFolder folder;
  const KeptPictures kept(folder.path(), "one");
  ASSERT_TRUE(kept.Store({1, 1, 2}, {1, 2, 3, 4}).has_value());
  const std::string path = folder.File(".distillery/pictures");
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(path, 10'000));
  for (const std::string& damaged :
       {whole.substr(0, whole.size() - 1), whole + "x", whole.substr(0, 100), std::string(),
        std::string(whole.size(), ' '), "x" + whole.substr(1)}) {
    ASSERT_THAT(WriteFileDurably(path, damaged), IsOk());
    EXPECT_FALSE(kept.Load().has_value());
  }
  ASSERT_THAT(WriteFileDurably(path, whole), IsOk());
  EXPECT_TRUE(kept.Load().has_value());
}

TEST(KeptPictures, WhatAKilledProcessBeganIsRemoved) {
  TemporaryFolder folder;
  ASSERT_THAT(MakeFolders(folder.File(".distillery")), IsOk());
  // No process has this number, and the second name is no file of ours.
  const std::string abandoned = folder.File(".distillery/pictures.tmp-2000000000");
  const std::string other = folder.File(".distillery/pictures.tmp-x");
  for (const std::string& path : {abandoned, other}) {
    ASSERT_THAT(WriteFileDurably(path, "begun"), IsOk());
  }
  ASSERT_TRUE(KeptPictures(folder.path(), "one").Store({1, 1, 1}, {1}).has_value());
  EXPECT_FALSE(FileExists(abandoned));
  EXPECT_TRUE(FileExists(other));
}

class KeptFolderTest : public ::testing::Test {
 protected:
  KeptFolderTest() {
    for (size_t i = 0; i < kLeastKeptPictures; ++i) Write(Path(i), static_cast<uint8_t>(i % 251));
  }
  static std::string Path(size_t i) {
    return absl::StrCat(i % 10 == 9 ? "test" : "train", i % 2 == 0 ? "/cat/" : "/dog/", i % 20 < 10,
                        "-", 10'000 + i, ".png");
  }
  void Write(const std::string& name, uint8_t pixel) {
    const std::string path = folder_.File(name);
    std::filesystem::create_directories(FolderOf(path));
    std::ofstream(path, std::ios::binary) << *EncodePng({{1, 1, 1}, {pixel}});
  }
  void WriteClassesOfTest() {
    Write("test/cat/a.png", 1);
    Write("test/dog/a.png", 2);
  }
  std::shared_ptr<const StoredSamples> Read() {
    absl::StatusOr<StoredSamples> samples = ReadImageFolder("pets", folder_.path());
    EXPECT_THAT(samples, IsOk());
    EXPECT_THAT(CheckSamples(*samples), IsOk());
    return std::make_shared<const StoredSamples>(*std::move(samples));
  }
  std::string Digest() {
    const auto dataset = Dataset::Create(Read(), {"pets", "train", 100});
    EXPECT_THAT(dataset, IsOk());
    return (*dataset)->digest();
  }
  TemporaryFolder folder_;
};

TEST_F(KeptFolderTest, AFolderOfManyPicturesIsDecodedOnce) {
  WriteClassesOfTest();
  const std::string digest = Digest();
  const auto samples = Read();
  EXPECT_FALSE(samples->in_memory());
  EXPECT_TRUE(samples->records.empty());
  EXPECT_EQ(Digest(), digest);
  // Without the kept pictures, and with a folder that cannot be written, it is the same.
  std::filesystem::remove_all(folder_.File(".distillery"));
  std::ofstream(folder_.File(".distillery")) << "in the way";
  ::setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
  EXPECT_TRUE(Read()->in_memory());
  EXPECT_EQ(Digest(), digest);
  ::unsetenv("XDG_CACHE_HOME");
}

TEST_F(KeptFolderTest, APictureThatChangesOrMovesIsSeen) {
  WriteClassesOfTest();
  std::string before = Digest();
  Write(Path(0), 250);
  EXPECT_NE(Digest(), before);
  before = Digest();
  // To the other class.
  const std::string moved = folder_.File("train/dog/0-0.png");
  std::filesystem::rename(folder_.File(Path(0)), moved);
  const auto count_cats = [&] {
    const auto samples = Read();
    return std::count(samples->labels.begin(), samples->labels.end(), 0);
  };
  const auto cats = count_cats();
  std::filesystem::rename(moved, folder_.File(Path(0)));
  EXPECT_EQ(count_cats(), cats + 1);
  EXPECT_EQ(Digest(), before);
  // Other options.
  std::ofstream(folder_.File("dataset.json")) << R"({"channels": 3})";
  EXPECT_EQ(Read()->shape().channels, 3);
}

TEST_F(KeptFolderTest, NothingIsKeptOfAFolderWithADamagedPicture) {
  WriteClassesOfTest();
  std::ofstream(folder_.File("dataset.json")) << R"({"skip_corrupt": true})";
  std::ofstream(folder_.File("train/cat/0-bad.png")) << "no";
  for (int i = 0; i < 2; ++i) {
    const auto samples = Read();
    EXPECT_TRUE(samples->in_memory());
    EXPECT_EQ(samples->left_out.size(), 1U);
  }
}

}  // namespace
}  // namespace distillery
