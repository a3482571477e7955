#include "common/data/catalog.h"

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "tests/common/data/files.h"
#include "tests/common/data/pickles.h"
#include "tests/common/data/records.h"
#include "tests/common/log_lines.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/zip_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
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
  EXPECT_THAT(
      catalog.Open({"imagenet", "train", 2}),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("digits"), HasSubstr("fashion"))));
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
              StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("hundred"), HasSubstr("npy"),
                                                          HasSubstr("photos"), HasSubstr("ten"))));
}

TEST(DatasetCatalog, TablesTextsAndArraysAreFoundAndHaveNoSecondFormatBesideThem) {
  TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    const std::string path = folder.File(name);
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  };
  for (const char* const split : {"train", "test"}) {
    write(absl::StrCat("table/", split, ".csv"), "x,label\n1,a\n2,b\n");
    write(absl::StrCat("lines/", split, ".jsonl"),
          "{\"text\": \"x\", \"label\": \"a\"}\n{\"text\": \"y\", \"label\": \"b\"}\n");
    write(absl::StrCat("plain/", split, ".txt"), std::string(200, 'x'));
    write(absl::StrCat("arrays/", split, "_inputs.npy"),
          NpyBytes("<i4", "2,", std::string(8, 'x')));
    write(absl::StrCat("arrays/", split, "_labels.npy"), NpyBytes("|u1", "2,", {'\0', '\1'}));
    write(absl::StrCat("archive/", split, ".npz"),
          ZipOf({{"inputs.npy", NpyBytes("<i4", "2,", std::string(8, 'x'))},
                 {"labels.npy", NpyBytes("|u1", "2,", {'\0', '\1'})}}));
  }
  DatasetCatalog catalog(folder.path());
  for (const char* const name : {"table", "lines", "plain", "arrays", "archive"}) {
    ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({name, "train", 2}));
    EXPECT_EQ(dataset->size(), 2) << name;
    write(absl::StrCat(name, "/train/a/1.pgm"), "P5 2 1 255 xy");
    EXPECT_THAT(DatasetCatalog(folder.path()).Open({name, "train", 2}),
                StatusIs(kInvalid, HasSubstr("and images by class (train/); move all but one")));
  }
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

TEST(DatasetCatalog, AFolderNamedAsTheBuiltInSetIsRefusedNotPassedOver) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("digits"));
  WriteIdxFolder(folder.File("other"));
  DatasetCatalog catalog(folder.path());
  EXPECT_THAT(catalog.Open({"digits", "train", 2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("built in"), HasSubstr("give the folder another name"))));
  EXPECT_THAT(catalog.Open({"other", "train", 2}), IsOk());
}

TEST(DatasetCatalog, ABuiltInSetBesideAFolderOfItsNameThatHoldsNoDataIsSaid) {
  TemporaryFolder folder;
  ASSERT_THAT(MakeFolders(folder.File("digits/0")), IsOk());
  const LogLines log;
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"digits", "train", 2}), IsOk());
  EXPECT_THAT(log.Of("warning"),
              ElementsAre(AllOf(HasSubstr("digits: this is the built-in one"),
                                HasSubstr("images or recordings by class in train and test"))));
}

TEST(DatasetCatalog, TwoFormatsInOneFolderAreRefusedByTheirNames) {
  TemporaryFolder folder;
  WriteNpyFolder(folder.File("mixed"));
  for (const char* const name : {"train/a/1.pgm", "train/b/1.pgm", "test/b/1.pgm"}) {
    const std::string path = folder.File("mixed/" + std::string(name));
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, "P5 2 1 255 xy"), IsOk());
  }
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"mixed", "train", 2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("mixed: its folder holds several formats: NPY files "
                                       "(train_images.npy) and images by class (train/)"),
                             HasSubstr("move all but one"))));
}

TEST(DatasetCatalog, ArchivesBesideImagesAreTwoFormats) {
  TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    ASSERT_THAT(MakeFolders(FolderOf(folder.File(name))), IsOk());
    ASSERT_THAT(WriteFileDurably(folder.File(name), bytes), IsOk());
  };
  DatasetCatalog catalog(folder.path());
  const auto says = [&](const std::string& name) {
    return std::string(catalog.Open({name, "train", 2}).status().message());
  };
  // What it says of an archive that is none.
  write("inside/train/0.tar", "no");
  EXPECT_THAT(says("inside"), HasSubstr("train/0.tar"));
  write("beside/train-0.tar", "no");
  EXPECT_THAT(says("beside"), HasSubstr("train-0.tar"));
  write("listed/train-0.tar", "no");
  write("listed/labels.csv", "file,label\na.png,x\n");
  write("listed/a.png", "no");
  EXPECT_THAT(says("listed"), AllOf(HasSubstr("several formats"), HasSubstr("tar archives")));
  // A folder of classes comes first: the archive is left out.
  for (const char* const name : {"train/a/1.pgm", "train/b/1.pgm", "test/b/1.pgm"}) {
    write(std::string("unpacked/") + name, "P5 2 1 255 xy");
  }
  write("unpacked/train.tar", "no");
  EXPECT_EQ(says("unpacked"), "");
}

TEST(DatasetCatalog, TwoPlacesOfMnistAreRefused) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.path());
  WriteIdxFolder(folder.File("mnist"));
  EXPECT_THAT(DatasetCatalog(folder.path()).Open({"mnist", "train", 2}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("move one of them away")));
}

TEST(DatasetCatalog, ClassesWithoutTrainingSamplesAreNamedOnce) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("gaps"));
  ASSERT_THAT(WriteFileDurably(folder.File("gaps/train-labels-idx1-ubyte"),
                               IdxBytes({3}, std::string("\x01\x04\x01", 3))),
              IsOk());
  const LogLines log;
  DatasetCatalog catalog(folder.path());
  for (const char* const split : {"train", "test", "fit"}) {
    ASSERT_THAT(catalog.Open({"gaps", split, 2}), IsOk());
  }
  EXPECT_THAT(log.Of("warning"),
              ElementsAre(HasSubstr("gaps: 3 of 5 classes have no training samples: 0, 2, 3")));
}

TEST(DatasetCatalog, ASplitWhosePositionsHaveNoLabelsIsTold) {
  TemporaryFolder folder;
  ASSERT_TRUE(std::filesystem::create_directory(folder.File("tags")));
  const std::vector<int32_t> labels = {0, 1, 2, kNoLabel};
  const std::vector<int32_t> none(4, kNoLabel);
  for (const auto& [split, some] : {std::pair{"train", labels}, std::pair{"test", none}}) {
    const std::string start = absl::StrCat(folder.File("tags/"), split);
    ASSERT_THAT(
        WriteFileDurably(start + "_inputs.npy", NpyBytes("<f4", "2, 2", std::string(16, '\0'))),
        IsOk());
    ASSERT_THAT(WriteFileDurably(start + "_labels.npy", NpyBytes("<i4", "2, 2", BytesOf(some))),
                IsOk());
  }
  const LogLines log;
  DatasetCatalog catalog(folder.path());
  ASSERT_THAT(catalog.Open({"tags", "test", 2}), IsOk());
  EXPECT_THAT(log.Of("warning"),
              ElementsAre(HasSubstr("tags: no position of test has a label: figures of this")));
}

TEST(DatasetCatalog, NamesThatNobodyCanAskForAreNotOffered) {
  TemporaryFolder folder;
  WriteIdxFolder(folder.File("fine"));
  WriteIdxFolder(folder.File("bad\xFF\x1Bname"));
  const absl::Status status = DatasetCatalog(folder.path()).Open({"none", "train", 2}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr("fine")));
  EXPECT_EQ(std::string(status.message()).find('\xFF'), std::string::npos);
}

TEST(DatasetCatalog, Fault67_PipesInPlaceOfFilesAreRefusedInEveryFormat) {
  TemporaryFolder folder;
  const auto pipe_instead = [&](const std::string& name) {
    const std::string path = folder.File(name);
    ASSERT_THAT(RemoveFile(path), IsOk());
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  };
  for (const char* const file : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                 "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    const std::string name = std::string("idx-") + file;
    WriteIdxFolder(folder.File(name));
    pipe_instead(name + "/" + file);
  }
  for (const char* const file : {"train_images.npy", "train_labels.npy", "test_images.npy",
                                 "test_labels.npy", "classes.txt"}) {
    const std::string name = std::string("npy-") + file;
    WriteNpyFolder(folder.File(name));
    pipe_instead(name + "/" + file);
  }
  const auto write_cifar = [&](const std::string& name) {
    ASSERT_THAT(MakeFolders(folder.File(name)), IsOk());
    for (int i = 1; i <= 5; ++i) {
      ASSERT_THAT(WriteFileDurably(folder.File(name + "/data_batch_" + std::to_string(i) + ".bin"),
                                   std::string(3073, '\1')),
                  IsOk());
    }
    ASSERT_THAT(WriteFileDurably(folder.File(name + "/test_batch.bin"), std::string(3073, '\1')),
                IsOk());
  };
  for (const char* const file : {"data_batch_1.bin", "test_batch.bin", "batches.meta.txt"}) {
    const std::string name = std::string("cifar-") + file;
    write_cifar(name);
    pipe_instead(name + "/" + file);
  }
  for (const char* const file : {"data_batch_1", "test_batch", "batches.meta"}) {
    const std::string name = std::string("pickles-") + file;
    ASSERT_THAT(MakeFolders(folder.File(name)), IsOk());
    for (const char* const batch : {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                                    "data_batch_5", "test_batch"}) {
      ASSERT_THAT(WriteFileDurably(folder.File(name + "/" + batch),
                                   PickleOfTwo("labels", {1}, std::string(3072, 'x'), 3072)),
                  IsOk());
    }
    pipe_instead(name + "/" + file);
  }
  ASSERT_THAT(MakeFolders(folder.File("archive")), IsOk());
  pipe_instead("archive/train-0.tar");
  DatasetCatalog catalog(folder.path());
  int sets = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    EXPECT_THAT(catalog.Open({name, "train", 2}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a named pipe")))
        << name;
    ++sets;
  }
  EXPECT_EQ(sets, 16);
}

// A data set whose digest takes a while: half a gigabyte that takes no room on the disk.
void WriteLargeNpyFolder(const std::string& folder) {
  constexpr int64_t kImages = 8;
  constexpr int64_t kSide = 8192;
  WriteNpyFolder(folder);
  const std::string header = NpyBytes("|u1", "8, 8192, 8192", "");
  for (const char* const split : {"train", "test"}) {
    const std::string images = folder + "/" + split + "_images.npy";
    ASSERT_THAT(WriteFileDurably(images, header), IsOk());
    std::filesystem::resize_file(images, header.size() + kImages * kSide * kSide);
    ASSERT_THAT(WriteFileDurably(folder + "/" + split + "_labels.npy",
                                 NpyBytes("|u1", "8,", std::string("\0\1\0\1\0\1\0\1", 8))),
                IsOk());
  }
}

TEST(DatasetCatalog, Fault67_WhoReadsALargeDataSetHoldsNobodyUp) {
  TemporaryFolder folder;
  WriteLargeNpyFolder(folder.File("large"));
  WriteIdxFolder(folder.File("small"));
  DatasetCatalog catalog(folder.path());
  std::mutex mutex;
  std::vector<std::string> done;
  std::vector<std::shared_ptr<const Dataset>> large;
  for (int i = 0; i < 3; ++i) {
    catalog.OpenLater({"large", "train", 8}, [&](const DatasetCatalog::Opened& opened) {
      const std::lock_guard<std::mutex> lock(mutex);
      done.emplace_back("large");
      ASSERT_THAT(opened, IsOk());
      large.push_back(*opened);
    });
  }
  ASSERT_THAT(catalog.Open({"small", "train", 2}), IsOk());
  EXPECT_EQ(catalog.Find({"large", "train", 8}), nullptr);
  EXPECT_NE(catalog.Find({"small", "train", 2}), nullptr);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    done.emplace_back("small");
  }
  // Asked for by the calling thread, it waits for those that read it.
  ASSERT_OK_AND_ASSIGN(const auto same, catalog.Open({"large", "train", 8}));
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(done, (std::vector<std::string>{"small", "large", "large", "large"}));
  for (const auto& dataset : large) EXPECT_EQ(dataset, same);
}

TEST(DatasetCatalog, ThoseWhoWaitForOneDataSetShareItsError) {
  TemporaryFolder folder;
  WriteNpyFolder(folder.File("large"));
  ASSERT_THAT(WriteFileDurably(folder.File("large/test_labels.npy"), "nothing"), IsOk());
  std::atomic<int> refused{0};
  {
    DatasetCatalog catalog(folder.path());
    for (int i = 0; i < 10; ++i) {
      catalog.OpenLater({"large", "train", 8}, [&](const DatasetCatalog::Opened& opened) {
        if (absl::IsDataLoss(opened.status())) ++refused;
      });
    }
    catalog.OpenLater({"nothing", "train", 8}, [&](const DatasetCatalog::Opened& opened) {
      if (absl::IsNotFound(opened.status())) ++refused;
    });
    catalog.OpenLater({"../large", "train", 8}, [&](const DatasetCatalog::Opened& opened) {
      if (absl::IsInvalidArgument(opened.status())) ++refused;
    });
  }
  EXPECT_EQ(refused, 12) << "the catalog waits for all before it goes";
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
