#include "common/data/array_samples.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/data/npy_folder.h"
#include "common/data/npz_source.h"
#include "tests/common/data/files.h"
#include "tests/common/data/records.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/zip_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ArraySamplesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) { folder_.Write(name, bytes); }
  // The same array for train, of two samples, and for test, of its first sample.
  void WriteBoth(const std::string& name, const std::string& type, const std::string& sizes,
                 const std::string& two_samples) {
    Write("train_" + name + ".npy", NpyBytes(type, "2, " + sizes, two_samples));
    Write("test_" + name + ".npy",
          NpyBytes(type, "1, " + sizes, two_samples.substr(0, two_samples.size() / 2)));
  }
  void WriteTable() {
    WriteBoth("inputs", "<f4", "3", BytesOf<float>({1, 2, 3, 4, 5, 6}));
    WriteBoth("labels", "<i8", "", BytesOf<int64_t>({1, 0}));
  }
  absl::StatusOr<StoredSamples> Read() {
    absl::StatusOr<StoredSamples> samples = ReadNpyFolder("tiny", folder_.path());
    if (samples.ok()) {
      EXPECT_THAT(CheckSamples(*samples), IsOk());
    }
    return samples;
  }
  TemporaryFolder folder_;
};

TEST_F(ArraySamplesTest, OneArrayWithClassesIsReadOnDemand) {
  WriteTable();
  EXPECT_TRUE(HoldsNpy(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "inputs float32 [3] -> classes");
  EXPECT_FALSE(samples.in_memory());
  EXPECT_THAT(samples.labels, ElementsAre(1, 0, 1));
  EXPECT_THAT(samples.train, ElementsAre(0, 1));
  EXPECT_THAT(samples.test, ElementsAre(2));
  EXPECT_THAT(samples.sources.files, SizeIs(4));
  EXPECT_THAT(samples.left_out, IsEmpty());
  std::vector<float> row(3);
  ASSERT_THAT(ReadRecord(samples, 1, reinterpret_cast<uint8_t*>(row.data())), IsOk());
  EXPECT_THAT(row, ElementsAre(4, 5, 6));
}

TEST_F(ArraySamplesTest, SeveralArraysAreInputsInTheOrderOfTheirNames) {
  WriteTable();
  WriteBoth("extra", "<f8", "1", BytesOf<double>({0.5, 1.5}));
  WriteBoth("depth", "<i2", "2", BytesOf<int16_t>({-1, 2, 3, 4}));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(),
            "depth int32 [2], extra float32 [1], inputs float32 [3] -> classes");
  EXPECT_TRUE(samples.in_memory());
  EXPECT_EQ(samples.record_bytes(), 8 + 4 + 12);
  EXPECT_THAT(NumbersOf<int32_t>(samples, 0, 0, 2), ElementsAre(-1, 2));
  EXPECT_THAT(NumbersOf<float>(samples, 1, 8, 4), ElementsAre(1.5, 4, 5, 6));
  EXPECT_THAT(NumbersOf<float>(samples, 2, 8, 4), ElementsAre(0.5, 1, 2, 3));
}

TEST_F(ArraySamplesTest, EachElementTypeIsStoredAsTheTableSays) {
  const std::vector<std::pair<std::string, std::string>> types = {
      {"|u1", "uint8"},   {"|b1", "uint8"},   {"|i1", "int32"},  {"<i2", "int32"},
      {"<u2", "int32"},   {"<i4", "int32"},   {"<u4", "int64"},  {"<i8", "int64"},
      {"<f2", "float16"}, {"<f4", "float32"}, {"<f8", "float32"}};
  for (const auto& [type, stored] : types) {
    WriteTable();
    WriteBoth("inputs", type, "1", std::string(static_cast<size_t>(2 * (type[2] - '0')), '\0'));
    ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
    EXPECT_EQ(samples.spec.inputs[0].ToString(), "inputs " + stored + " [1]") << type;
  }
}

TEST_F(ArraySamplesTest, LabelsForEachPositionAndAMaskGoIntoTheRecord) {
  WriteBoth("tokens", "<i4", "2", BytesOf<int32_t>({5, 6, 7, 3}));
  WriteBoth("labels", "<i8", "2", BytesOf<int64_t>({1, 2, -100, 0}));
  WriteBoth("mask", "|b1", "2", std::string("\1\0\1\1", 4));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "tokens int32 [2] below 8 -> classes [2]");
  EXPECT_THAT(samples.class_names, ElementsAre("0", "1", "2"));
  EXPECT_THAT(NumbersOf<int32_t>(samples, 0, 8, 2), ElementsAre(1, kNoLabel));
  EXPECT_THAT(NumbersOf<int32_t>(samples, 1, 8, 2), ElementsAre(kNoLabel, 0));
  EXPECT_THAT(samples.left_out, IsEmpty());
}

TEST_F(ArraySamplesTest, AMaskWithoutPositionsIsTheLastInput) {
  WriteBoth("tokens", "<i8", "2", BytesOf<int64_t>({5, 6, 7, 0}));
  WriteBoth("labels", "|u1", "", std::string("\0\1", 2));
  WriteBoth("mask", "|u1", "2", std::string("\1\1\1\0", 4));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "tokens int64 [2] below 8, mask uint8 [2] -> classes");
  EXPECT_THAT(NumbersOf<uint8_t>(samples, 1, 16, 2), ElementsAre(1, 0));
}

TEST_F(ArraySamplesTest, PicturesWithALabelForEachPixelStayPictures) {
  WriteBoth("images", "|u1", "1, 2", "abcd");
  WriteBoth("labels", "|u1", "1, 2", std::string("\0\2\1\1", 4));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "image uint8 [1, 1, 2] / 255 -> classes [1, 2]");
  EXPECT_THAT(NumbersOf<uint8_t>(samples, 1, 0, 2), ElementsAre('c', 'd'));
  EXPECT_THAT(NumbersOf<int32_t>(samples, 0, 2, 2), ElementsAre(0, 2));
  WriteBoth("labels", "|u1", "2, 2", std::string(8, '\0'));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("[2, 2, 2], wanted: [samples], or [samples, 1, "
                                                   "2] for each pixel")));
}

TEST_F(ArraySamplesTest, BoolsAreLabelsOfTheirOwnAndSoAreBytesThatLabelsTxtNames) {
  WriteTable();
  WriteBoth("labels", "|b1", "2", std::string("\1\0\1\1", 4));
  ASSERT_OK_AND_ASSIGN(const StoredSamples bools, Read());
  EXPECT_EQ(bools.spec.ToString(), "inputs float32 [3] -> multilabel");
  EXPECT_THAT(bools.class_names, ElementsAre("0", "1"));
  EXPECT_THAT(NumbersOf<uint8_t>(bools, 1, 12, 2), ElementsAre(1, 1));

  WriteBoth("labels", "|u1", "2", std::string("\1\0\1\1", 4));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train_labels.npy is |u1 [2, 2]"),
                                               HasSubstr("labels.txt"), HasSubstr("classes.txt"))));
  Write("labels.txt", "red\nround\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples bytes, Read());
  EXPECT_EQ(bytes.records, bools.records);
  EXPECT_THAT(bytes.class_names, ElementsAre("red", "round"));

  WriteBoth("labels", "|u1", "2", std::string("\1\2\1\1", 4));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("sample 0 has labels other than 0 and 1")));
  Write("labels.txt", "red\n");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("1 names, the labels have 2")));
  Write("classes.txt", "a\nb\n");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("remove one")));
}

TEST_F(ArraySamplesTest, ClassesTxtSettlesThatZerosAndOnesArePositions) {
  WriteTable();
  WriteBoth("labels", "|u1", "2", std::string("\1\0\1\1", 4));
  Write("classes.txt", "out\nin\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "inputs float32 [3] -> classes [2]");
}

TEST_F(ArraySamplesTest, FloatsAreValues) {
  WriteTable();
  WriteBoth("labels", "<f8", "", BytesOf<double>({0.5, -2}));
  ASSERT_OK_AND_ASSIGN(const StoredSamples one, Read());
  EXPECT_EQ(one.spec.ToString(), "inputs float32 [3] -> values");
  EXPECT_THAT(one.class_names, ElementsAre("0"));
  EXPECT_THAT(NumbersOf<float>(one, 1, 12, 1), ElementsAre(-2));

  WriteBoth("labels", "<f4", "2, 3", BytesOf<float>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  Write("values.txt", "x\ny\nz\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples three, Read());
  EXPECT_EQ(three.spec.ToString(), "inputs float32 [3] -> values [2]");
  EXPECT_THAT(three.class_names, ElementsAre("x", "y", "z"));
  EXPECT_THAT(NumbersOf<float>(three, 1, 12, 6), ElementsAre(7, 8, 9, 10, 11, 12));
}

TEST_F(ArraySamplesTest, WrongTypesAndRaggedArraysAreRefusedWithTheWayOut) {
  WriteTable();
  Write("train_inputs.npy", NpyBytes("|O", "2,", std::string(16, 'x')));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("tiny: train_inputs.npy"), HasSubstr("|O"),
                                               HasSubstr("pad the rows to one length"))));
  Write("train_inputs.npy", NpyBytes("<c8", "2, 3", std::string(48, 'x')));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("<c8, wanted: |u1, |b1")));
  Write("train_inputs.npy", NpyBytes("<i4", "2, 3", std::string(24, '\0')));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("test_inputs.npy has samples of float32 [3], "
                                                   "the training samples are int32 [3]")));
}

TEST_F(ArraySamplesTest, NumbersThatAreNotFiniteAreRefusedWithTheirPlace) {
  WriteTable();
  const float nan = std::nanf("");
  WriteBoth("inputs", "<f4", "3", BytesOf<float>({1, 2, 3, 4, nan, 6}));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, HasSubstr("train_inputs.npy: sample 1: element 1 is nan")));
  WriteBoth("inputs", "<f8", "3", BytesOf<double>({1, 2, 1e300, 4, 5, 6}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("sample 0: element 2 is 1e+300, which is beyond "
                                                   "float32")));
  WriteBoth("inputs", "<f2", "3", BytesOf<uint16_t>({0, 0, 0x7C00, 0, 0, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("element 2 is inf")));
  WriteTable();
  WriteBoth("labels", "<f4", "", BytesOf<float>({1, -std::numeric_limits<float>::infinity()}));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, HasSubstr("train_labels.npy: sample 1: element 0 is -inf")));
}

TEST_F(ArraySamplesTest, ATokenBeyondTheVocabularyIsRefused) {
  WriteBoth("tokens", "<i8", "2", BytesOf<int64_t>({5, 6, 7, 0}));
  WriteBoth("labels", "|u1", "", std::string("\0\1", 2));
  Write("dataset.json", "{\"vocabulary\": 8}");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.inputs[0].vocabulary, 8);
  EXPECT_THAT(samples.left_out, IsEmpty());
  Write("dataset.json", "{\"vocabulary\": 7}");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_tokens.npy: sample 1, element 0 is 7, "
                                                   "tokens are 0 to 6")));
  WriteBoth("tokens", "<i8", "2", BytesOf<int64_t>({5, -1, 7, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("sample 0, element 1 is -1")));
  WriteBoth("tokens", "<f4", "2", BytesOf<float>({5, 1, 7, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_tokens.npy holds float32")));
}

TEST_F(ArraySamplesTest, AMaskOfAnotherSizeOrOfOtherNumbersIsRefused) {
  WriteTable();
  WriteBoth("labels", "<i4", "2", BytesOf<int32_t>({0, 1, 2, 0}));
  WriteBoth("mask", "|u1", "3", std::string(6, '\1'));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_mask.npy has the shape [2, 3], wanted "
                                                   "that of train_labels.npy: [2, 2]")));
  WriteBoth("mask", "|u1", "2", "\1\1\1\2");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_mask.npy: sample 1 has other numbers")));
  WriteBoth("mask", "|u1", "2", "\1\1\1\1");
  WriteBoth("labels", "<f4", "2, 1", BytesOf<float>({0, 1, 2, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("which only classes may have")));
}

TEST_F(ArraySamplesTest, ALabelBeyondTheClassesIsRefusedWithItsPosition) {
  WriteTable();
  Write("classes.txt", "a\nb\n");
  WriteBoth("labels", "<i4", "2", BytesOf<int32_t>({0, 1, -100, 2}));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, HasSubstr("train_labels.npy: sample 1, position 1 has the "
                                           "label 2, classes are 0 to 1, and -100 is none")));
  WriteBoth("labels", "<i4", "2, 2", BytesOf<int32_t>({0, 0, -1, 0, 0, 0, 0, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("sample 0, position [1, 0] has the label -1")));
  WriteBoth("labels", "<i4", "", BytesOf<int32_t>({0, -100}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("label 1 is -100, classes are 0 to 1")));
}

TEST_F(ArraySamplesTest, ArraysThatDoNotFitTogetherAreRefused) {
  WriteTable();
  Write("train_labels.npy", NpyBytes("|u1", "3,", std::string(3, '\0')));
  EXPECT_THAT(Read(), StatusIs(kDataLoss, HasSubstr("train_inputs.npy has 2 samples but "
                                                    "train_labels.npy has 3 labels")));
  WriteTable();
  Write("test_labels.npy", NpyBytes("<f4", "1,", std::string(4, '\0')));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, HasSubstr("test_labels.npy is <f4 [1]: the labels of train "
                                           "are <i8 [2]")));
  WriteTable();
  Write("test_more.npy", NpyBytes("<f4", "1,", std::string(4, '\0')));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, HasSubstr("there is test_more.npy, but no train_more.npy")));
  ASSERT_THAT(RemoveFile(folder_.File("test_more.npy")), IsOk());
  ASSERT_THAT(RemoveFile(folder_.File("test_inputs.npy")), IsOk());
  EXPECT_THAT(Read(), StatusIs(kNotFound, HasSubstr("test_inputs.npy")));
  Write("test_inputs.npy", NpyBytes("<f4", "", std::string(4, '\0')));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("is one number")));
}

// The NPZ archives of the same arrays.
class NpzTest : public ArraySamplesTest {
 protected:
  using Entries = std::vector<std::pair<std::string, std::string>>;
  static Entries Arrays() {
    return {{"inputs.npy", NpyBytes("<f4", "2, 3", BytesOf<float>({1, 2, 3, 4, 5, 6}))},
            {"labels.npy", NpyBytes("<i8", "2,", BytesOf<int64_t>({1, 0}))}};
  }
  void WriteZip(const Entries& entries, zip_int32_t compression = ZIP_CM_STORE) {
    for (const char* const name : {"train.npz", "test.npz"}) {
      Write(name, ZipOf(entries, compression));
    }
  }
  absl::StatusOr<StoredSamples> ReadZip() { return ReadNpzFolder("tiny", folder_.path()); }
};

TEST_F(NpzTest, ArraysAreReadFromArchivesStoredOrCompressed) {
  EXPECT_FALSE(HoldsNpz(folder_.path()));
  for (const zip_int32_t compression : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    WriteZip(Arrays(), compression);
    EXPECT_TRUE(HoldsNpz(folder_.path()));
    ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadZip());
    EXPECT_THAT(CheckSamples(samples), IsOk());
    EXPECT_EQ(samples.spec.ToString(), "inputs float32 [3] -> classes");
    EXPECT_TRUE(samples.in_memory());
    EXPECT_EQ(samples.size(), 4);
    EXPECT_THAT(samples.labels, ElementsAre(1, 0, 1, 0));
    EXPECT_THAT(NumbersOf<float>(samples, 3, 0, 3), ElementsAre(4, 5, 6));
    EXPECT_THAT(samples.left_out, IsEmpty());
  }
}

TEST_F(NpzTest, ManyRowsGoThroughInBlocks) {
  std::vector<double> numbers(300000);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i);
  Entries entries = Arrays();
  entries[0].second = NpyBytes("<f8", "300000, 1", BytesOf(numbers));
  entries[1].second = NpyBytes("|u1", "300000,", std::string(299999, '\0') + "\1");
  WriteZip(entries, ZIP_CM_DEFLATE);
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadZip());
  EXPECT_THAT(NumbersOf<float>(samples, 299999, 0, 1), ElementsAre(299999));
  EXPECT_THAT(NumbersOf<float>(samples, 300000 + 131072, 0, 1), ElementsAre(131072));
}

TEST_F(NpzTest, DamagedAndOddArchivesAreNamed) {
  Write("train.npz", "nothing");
  Write("test.npz", "nothing");
  EXPECT_THAT(ReadZip(), StatusIs(kInvalid, AllOf(HasSubstr("tiny"), HasSubstr("train.npz"))));
  Entries entries = Arrays();
  entries.emplace_back("notes.txt", "hello");
  WriteZip(entries);
  EXPECT_THAT(ReadZip(),
              StatusIs(kInvalid, HasSubstr("train.npz holds notes.txt, which is no array")));
  WriteZip({Arrays()[0]});
  EXPECT_THAT(ReadZip(), StatusIs(kNotFound, HasSubstr("train.npz holds no array labels")));
  WriteZip({Arrays()[1]});
  EXPECT_THAT(ReadZip(), StatusIs(kInvalid, HasSubstr("there are no inputs")));
  WriteZip(Arrays());
  std::string bytes = ZipOf(Arrays());
  const size_t element = bytes.find(BytesOf<float>({4, 5, 6}));
  ASSERT_NE(element, std::string::npos);
  bytes[element] ^= 1;
  Write("train.npz", bytes);
  EXPECT_THAT(ReadZip(),
              StatusIs(kDataLoss, AllOf(HasSubstr("train.npz: inputs"), HasSubstr("CRC"))));
}

TEST_F(NpzTest, AnswersOfMoreNumbersThanThereMayBeAreRefusedBeforeTheyAreNamed) {
  for (const auto& [type, what] : {std::pair("|b1", "labels"), std::pair("<f4", "values")}) {
    // A few kilobytes that say many megabytes.
    const int64_t bytes = int64_t{1} << 22;
    const int64_t numbers = bytes / (type[2] - '0');
    Entries entries = Arrays();
    entries[1].second = NpyBytes(type, absl::StrCat("2, ", numbers / 2),
                                 std::string(static_cast<size_t>(bytes), '\0'));
    WriteZip(entries, ZIP_CM_DEFLATE);
    EXPECT_THAT(
        ReadZip(),
        StatusIs(kInvalid, HasSubstr(absl::StrCat("train.npz: labels has ", numbers / 2, " ", what,
                                                  " for each answer, the most are 65536"))));
  }
}

TEST(ArraySource, MoreSamplesThanADataSetMayHaveAreRefusedByTheirHeader) {
  NpyHeader header{"|u1", {kMaxSamples, 1}, 0};
  EXPECT_THAT(CheckRows(header, "train_inputs.npy"), IsOk());
  ++header.shape[0];
  EXPECT_THAT(
      CheckRows(header, "train_inputs.npy"),
      StatusIs(kExhausted, HasSubstr("train_inputs.npy has 2147483648 samples, the most of")));
}

TEST_F(NpzTest, MoreThanMayBeHeldIsRefusedBeforeItIsRead) {
  const std::string bytes = ZipOf(Arrays());
  ASSERT_OK_AND_ASSIGN(Archive train, Archive::Open(bytes));
  ASSERT_OK_AND_ASSIGN(Archive test, Archive::Open(bytes));
  const NpzSource source(std::move(train), std::move(test));
  std::set<std::string> files;
  EXPECT_THAT(ReadArrays(source, folder_.path(), 48, &files), IsOk());
  EXPECT_THAT(ReadArrays(source, folder_.path(), 47, &files),
              StatusIs(kExhausted, HasSubstr("4 samples of 12 bytes are more than the 47")));
}

}  // namespace
}  // namespace distillery
