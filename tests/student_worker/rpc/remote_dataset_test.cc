// Data from the real service, and from files: the same.
#include "student_worker/rpc/dataset_finder.h"
#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"
#include "tests/student_worker/rpc/scripted_samples.h"
#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// 90 training and 30 test images of 3 x 96 x 96 bytes in three classes: a shard is several
// messages.
void WriteColours(const std::string& folder) {
  constexpr int kBytes = 3 * 96 * 96;
  ASSERT_THAT(MakeFolders(folder), IsOk());
  uint32_t state = 1;
  for (const auto& [split, count] : {std::pair("train", 90), std::pair("test", 30)}) {
    std::string images;
    std::string labels;
    for (int i = 0; i < count; ++i) {
      labels.push_back(static_cast<char>(i / (count / 3)));
      for (int j = 0; j < kBytes; ++j) {
        state = state * 1664525 + 1013904223;  // Numerical Recipes
        images.push_back(static_cast<char>(state >> 24));
      }
    }
    const std::string size = std::to_string(count);
    const std::string start = folder + "/" + split;
    ASSERT_THAT(
        WriteFileDurably(start + "_images.npy", NpyBytes("|u1", size + ", 3, 96, 96", images)),
        IsOk());
    ASSERT_THAT(WriteFileDurably(start + "_labels.npy", NpyBytes("|u1", size + ",", labels)),
                IsOk());
  }
}

class RemoteDataset : public ::testing::Test {
 protected:
  RemoteDataset() {
    WriteColours(folder_.File("colours"));
    TeacherServer::Options options;
    options.host.data_dir = folder_.path();
    server_ = std::make_unique<TeacherServer>(options);
    server_->SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
    teachers_ = TeacherChannels::Of(server_->channel(), "teacher:7001");
    finder_ = std::make_unique<DatasetFinder>(DatasetFinder::Options(), teachers_.get());
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> Find(const DatasetReference& reference) {
    return finder_->Find(reference, "",
                         {&canceller_, [](const std::string&) {}, [] { return false; }});
  }

  const TemporaryFolder folder_;
  FakeTeacherProbe probe_;
  std::unique_ptr<TeacherServer> server_;
  std::unique_ptr<TeacherChannels> teachers_;
  std::unique_ptr<DatasetFinder> finder_;
  CallCanceller canceller_;
};

TEST_F(RemoteDataset, IsTheOneOfTheFilesInEachSplit) {
  DatasetCatalog files(folder_.path());
  for (const std::string& split : KnownSplits()) {
    const DatasetReference reference = {"colours", split, 64};
    ASSERT_OK_AND_ASSIGN(const auto expected, files.Open(reference));
    ASSERT_OK_AND_ASSIGN(const auto fetched, Find(reference));
    ExpectSame(*fetched, *expected);
  }
  EXPECT_EQ(probe_.calls.load(), 0) << "samples cost no soft targets";
}

TEST_F(RemoteDataset, WhatNobodyHasIsNotFoundInTheWordsOfBoth) {
  EXPECT_THAT(Find({"colors", "train", 64}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("the worker: unknown data set \"colors\""),
                             HasSubstr("; the teacher: unknown data set \"colors\"; did you mean "
                                       "\"colours\"?"))));
}

}  // namespace
}  // namespace distillery
