#include "common/data/catalog.h"

#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DatasetCatalog, DigitsAreAlwaysThere) {
  DatasetCatalog catalog("");
  ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({"digits", "train", 128}));
  EXPECT_EQ(dataset->size(), 1400);
  EXPECT_EQ(dataset->reference().ToString(), "digits/train@128");
}

TEST(DatasetCatalog, OneDataSetIsReadOnce) {
  DatasetCatalog catalog("");
  ASSERT_OK_AND_ASSIGN(const auto first, catalog.Open({"digits", "train", 128}));
  ASSERT_OK_AND_ASSIGN(const auto second, catalog.Open({"digits", "train", 128}));
  ASSERT_OK_AND_ASSIGN(const auto other_cut, catalog.Open({"digits", "train", 64}));
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other_cut);
  EXPECT_EQ(&first->class_names(), &other_cut->class_names()) << "the samples are shared";
}

TEST(DatasetCatalog, ManyCutsDoNotPileUp) {
  DatasetCatalog catalog("");
  ASSERT_OK_AND_ASSIGN(const auto first, catalog.Open({"digits", "test", 1}));
  for (int64_t size = 2; size <= 200; ++size) {
    ASSERT_THAT(catalog.Open({"digits", "test", size}), IsOk());
  }
  // The first one left the catalog long ago; who holds it keeps it.
  ASSERT_OK_AND_ASSIGN(const auto again, catalog.Open({"digits", "test", 1}));
  EXPECT_EQ(again->digest(), first->digest());
}

TEST(DatasetCatalog, FoldersUnderTheDataFolderAreDataSets) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("tiny"));
  DatasetCatalog catalog(folder.path());
  ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({"tiny", "train", 2}));
  EXPECT_EQ(dataset->size(), 3);
  ASSERT_OK_AND_ASSIGN(const auto digits, catalog.Open({"digits", "test", 2}));
  EXPECT_EQ(digits->size(), 397);
}

TEST(DatasetCatalog, DataFolderThatHoldsTheFilesIsMnist) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.path());
  DatasetCatalog catalog(folder.path());
  ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({"mnist", "test", 2}));
  EXPECT_EQ(dataset->size(), 1);
}

TEST(DatasetCatalog, UnknownNamesSayWhatIsThere) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("fashion"));
  DatasetCatalog catalog(folder.path());
  EXPECT_THAT(catalog.Open({"fashoin", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"fashion\"?")));
  EXPECT_THAT(catalog.Open({"imagenet", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("digits"), HasSubstr("fashion"))));
  DatasetCatalog without("");
  EXPECT_THAT(without.Open({"mnist", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("--data-dir")));
}

TEST(DatasetCatalog, EveryFormatIsFound) {
  TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    const std::string path = folder.File(name);
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  };
  WriteNpyFolder(folder.File("npy"));
  for (int i = 1; i <= 5; ++i) {
    write("ten/data_batch_" + std::to_string(i) + ".bin", std::string(3073, '\1'));
  }
  write("ten/test_batch.bin", std::string(3073, '\1'));
  write("hundred/train.bin", std::string(3074, '\1'));
  write("hundred/test.bin", std::string(3074, '\1'));
  for (const char* const name : {"train/a/1.pgm", "train/b/1.pgm", "test/b/1.pgm"}) {
    write(std::string("photos/") + name, "P5 2 1 255 xy");
  }
  DatasetCatalog catalog(folder.path());
  const std::vector<std::pair<std::string, int64_t>> train_sizes = {
      {"npy", 2}, {"ten", 5}, {"hundred", 1}, {"photos", 2}};
  for (const auto& [name, size] : train_sizes) {
    ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({name, "train", 2}));
    EXPECT_EQ(dataset->size(), size) << name;
    EXPECT_THAT(catalog.Open({name, "test", 2}), IsOk()) << name;
  }
  EXPECT_THAT(catalog.Open({"none", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("hundred"), HasSubstr("npy"), HasSubstr("photos"),
                             HasSubstr("ten"))));
}

TEST(DatasetCatalog, FolderOfNoKnownFormatSaysWhichThereAre) {
  TemporaryFolder folder;
  ASSERT_THAT(MakeFolders(folder.File("odd/training")), IsOk());
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"odd", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("its folder holds none of"), HasSubstr("CIFAR-10"))));
}

TEST(DatasetCatalog, FolderThatIsADataSetItselfIsPointedOut) {
  TemporaryFolder folder;
  WriteNpyFolder(folder.path());
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"flowers", "train", 2}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("give the one above it")));
}

TEST(DatasetCatalog, SamplesOfOneClassAreNoDataSet) {
  TemporaryFolder folder;
  WriteNpyFolder(folder.File("one"));
  for (const char* const name : {"one/train_labels.npy", "one/test_labels.npy"}) {
    const bool train = std::string(name).find("train") != std::string::npos;
    ASSERT_THAT(WriteFileDurably(folder.File(name), NpyBytes("|u1", train ? "2," : "1,",
                                                             std::string(train ? 2 : 1, '\0'))),
                IsOk());
  }
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"one", "train", 2}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 to 65536 classes")));
}

TEST(DatasetCatalog, Fault48_PathsInNamesAreRefused) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("secret"));
  ASSERT_THAT(MakeFolders(folder.File("data")), IsOk());
  DatasetCatalog catalog(folder.File("data"));
  for (const char* const name : {"../secret", "..", "/", "a/../../secret", ""}) {
    EXPECT_THAT(catalog.Open({name, "train", 2}), StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

TEST(DatasetCatalog, DamagedFilesAreDataLossAndAreReadAgain) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("tiny"));
  const std::string labels = folder.File("tiny/train-labels-idx1-ubyte");
  const std::string whole = *ReadFile(labels, 100);
  ASSERT_THAT(WriteFileDurably(labels, whole.substr(0, whole.size() - 1)), IsOk());
  DatasetCatalog catalog(folder.path());
  EXPECT_THAT(catalog.Open({"tiny", "train", 2}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("train-labels-idx1-ubyte")));
  ASSERT_THAT(WriteFileDurably(labels, whole), IsOk());
  EXPECT_THAT(catalog.Open({"tiny", "train", 2}), IsOk());
}

}  // namespace
}  // namespace distillery
