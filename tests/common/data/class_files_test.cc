#include "common/data/class_files.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

bool IsX(absl::string_view name) { return name.size() > 2 && name.substr(name.size() - 2) == ".x"; }
bool IsY(absl::string_view name) { return name.size() > 2 && name.substr(name.size() - 2) == ".y"; }
constexpr SampleFileKind kX{"exes", ".x", &IsX};
constexpr SampleFileKind kY{"whys", ".y", &IsY};

class ClassFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text = "") { folder_.Write(name, text); }
  void WriteAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) Write(name);
  }
  absl::StatusOr<ClassFiles> Find(double fraction = 0) {
    return FindClassFiles(folder_.path(), kX, fraction);
  }
  int Kind() { return FindSampleFileKind(folder_.path(), {kX, kY}); }
  TemporaryFolder folder_;
};

std::vector<std::string> Texts(const std::vector<ClassFile>& files) {
  std::vector<std::string> texts;
  for (const ClassFile& file : files) {
    texts.push_back(file.path + " " + std::to_string(file.label));
  }
  return texts;
}

TEST_F(ClassFilesTest, FoldersInsideAClassBelongToIt) {
  WriteAll({"train/cat/z.x", "train/cat/b/1.x", "train/cat/b/a/2.x", "train/cat/a/9.x",
            "train/dog/1.x", "test/dog/deep/1.x"});
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find());
  EXPECT_THAT(Texts(found.train),
              ElementsAre("train/cat/z.x 0", "train/cat/a/9.x 0", "train/cat/b/1.x 0",
                          "train/cat/b/a/2.x 0", "train/dog/1.x 1"));
  EXPECT_THAT(Texts(found.test), ElementsAre("test/dog/deep/1.x 1"));
  EXPECT_THAT(found.left_out, IsEmpty());
}

TEST_F(ClassFilesTest, ALinkInsideAClassIsNotFollowed) {
  WriteAll({"train/cat/z.x", "train/dog/1.x", "test/dog/1.x"});
  ASSERT_EQ(symlink("..", folder_.File("train/cat/loop").c_str()), 0);
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find());
  EXPECT_THAT(Texts(found.train), ElementsAre("train/cat/z.x 0", "train/dog/1.x 1"));
  ASSERT_EQ(found.left_out.size(), 1U);
  EXPECT_THAT(found.left_out[0].what, HasSubstr("links to folders within a class"));
}

TEST_F(ClassFilesTest, LoopsOfLinksWithoutAnyFileAreSeenThroughAtOnce) {
  for (const char* const name : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    ASSERT_THAT(MakeFolders(folder_.File("train/" + std::string(name))), IsOk());
    ASSERT_EQ(symlink("..", folder_.File("train/" + std::string(name) + "/loop").c_str()), 0);
  }
  // Followed to the end, these would be eight to the power of eight folders.
  EXPECT_EQ(Kind(), 0);
}

TEST_F(ClassFilesTest, ValidationTakesThePlaceOfATestThatIsNotThere) {
  for (const char* const name : {"val", "valid", "validation"}) {
    TemporaryFolder folder;
    for (const std::string& file :
         {std::string("train/a/1.x"), std::string("train/b/1.x"), name + std::string("/b/2.x")}) {
      folder.Write(file, "");
    }
    ASSERT_OK_AND_ASSIGN(const ClassFiles found, FindClassFiles(folder.path(), kX, 0));
    EXPECT_THAT(Texts(found.test), ElementsAre(name + std::string("/b/2.x 1")));
    EXPECT_THAT(found.left_out, IsEmpty());
  }
}

TEST_F(ClassFilesTest, AFractionOfEachClassIsDrawnAlwaysTheSame) {
  for (int i = 0; i < 10; ++i) Write("train/a/" + std::to_string(i) + ".x");
  for (int i = 0; i < 5; ++i) Write("train/b/" + std::to_string(i) + ".x");
  Write("train/c/only.x");
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find(0.3));
  const auto count = [](const std::vector<ClassFile>& files, int32_t label) {
    return std::count_if(files.begin(), files.end(),
                         [&](const ClassFile& file) { return file.label == label; });
  };
  EXPECT_EQ(count(found.test, 0), 3);
  EXPECT_EQ(count(found.test, 1), 2);
  EXPECT_EQ(count(found.test, 2), 0);
  EXPECT_EQ(found.train.size() + found.test.size(), 16U);
  EXPECT_TRUE(std::is_sorted(found.train.begin(), found.train.end(),
                             [](const auto& a, const auto& b) { return a.path < b.path; }));
  // What other machines draw too.
  EXPECT_THAT(Texts(found.test), ElementsAre("train/a/3.x 0", "train/a/4.x 0", "train/a/5.x 0",
                                             "train/b/1.x 1", "train/b/4.x 1"));
}

TEST_F(ClassFilesTest, ClassesMayLieAtTheTopWithAFraction) {
  WriteAll({"cat/1.x", "cat/2.x", "dog/1.x", "dog/2.x", "README"});
  EXPECT_EQ(Kind(), -1);
  EXPECT_THAT(Find(), StatusIs(kInvalid, AllOf(HasSubstr("there is no folder train"),
                                               HasSubstr("{\"test_fraction\": 0.2}"))));
  Write("dataset.json", R"({"test_fraction": 0.5})");
  EXPECT_EQ(Kind(), 0);
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find(0.5));
  EXPECT_THAT(found.class_names, ElementsAre("cat", "dog"));
  EXPECT_EQ(found.train.size(), 2U);
  EXPECT_EQ(found.test.size(), 2U);
  ASSERT_EQ(found.left_out.size(), 1U);
  EXPECT_EQ(found.left_out[0].what, "1 file without an ending such as README");
}

TEST_F(ClassFilesTest, ATestIsGivenOrDrawnNotBothNorNeither) {
  WriteAll({"train/a/1.x", "train/b/1.x"});
  EXPECT_THAT(Find(), StatusIs(kInvalid, AllOf(HasSubstr("there is no folder test"),
                                               HasSubstr("{\"test_fraction\": 0.2}"))));
  Write("val/a/1.x");
  EXPECT_THAT(Find(0.5), StatusIs(kInvalid, HasSubstr("there is a folder val, and dataset.json")));
}

TEST_F(ClassFilesTest, LabelsMayStandInATable) {
  WriteAll({"pics/1.x", "pics/2.x", "3.x", "other.x", "pics/notes.txt"});
  Write("labels.csv",
        "file,label,split\npics/1.x,10,train\n3.x,9,train\npics/2.x,9,test\nother.x,9,val\n");
  EXPECT_EQ(Kind(), 0);
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find());
  EXPECT_THAT(found.class_names, ElementsAre("9", "10"));
  EXPECT_THAT(Texts(found.train), ElementsAre("pics/1.x 1", "3.x 0"));
  EXPECT_THAT(Texts(found.test), ElementsAre("pics/2.x 0"));
  ASSERT_EQ(found.left_out.size(), 2U);
  EXPECT_THAT(found.left_out[0].what, HasSubstr("1 line of labels.csv of a split other than"));
  EXPECT_EQ(found.left_out[1].what, "1 file .txt such as pics/notes.txt");
}

TEST_F(ClassFilesTest, ATableWithoutSplitsNeedsAFraction) {
  Write("labels.csv", "file,label\n1.x,a\n2.x,a\n3.x,b\n4.x,b\n");
  EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr("labels.csv has no column split")));
  ASSERT_OK_AND_ASSIGN(const ClassFiles found, Find(0.5));
  EXPECT_EQ(found.test.size(), 2U);
  Write("labels.csv", "file,label,split\n1.x,a,train\n2.x,b,test\n");
  EXPECT_THAT(Find(0.5), StatusIs(kInvalid, HasSubstr("take one of them away")));
}

TEST_F(ClassFilesTest, LinesOfTheTableThatCannotBeAreNamed) {
  for (const auto& [text, message] :
       {std::pair("file,label,split\n1.x,a,train\n2.x,b,train\n3.x,c,test\n",
                  "labels.csv:4: label"),
        std::pair("file,label,split\n1.x,a,trian\n", "labels.csv:2: split \"trian\" must be train"),
        std::pair("file,label,split\n1.png,a,train\n", "labels.csv:2: file \"1.png\" must be one"),
        std::pair("file,label,split\n1.x,a,train\n2.x,b,train\n", "no line of the split test"),
        std::pair("file,label,split\n1.x,a,train\n2.x,a,test\n", "labels.csv")}) {
    Write("labels.csv", text);
    EXPECT_THAT(Find(), StatusIs(kInvalid, HasSubstr(message))) << text;
  }
}

TEST_F(ClassFilesTest, TheFirstFileSaysWhatTheFolderHolds) {
  EXPECT_EQ(Kind(), -1);
  WriteAll({"train/b/1.x", "train/a/2.y", "train/a/readme.txt"});
  EXPECT_EQ(Kind(), 1);
  Write("train/a/1.x");
  EXPECT_EQ(Kind(), 0);
  Write("labels.csv", "file,label,split\nq.y,a,train\n");
  EXPECT_EQ(Kind(), 1);
}

}  // namespace
}  // namespace distillery
