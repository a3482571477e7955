#include "common/data/text_folder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
#include "common/data/data_options.h"
#include "common/data/texts.h"

namespace distillery {
namespace {

constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

struct TextFiles {
  std::string train;
  std::string test;
};

absl::StatusOr<TextFiles> ReadBoth(const std::string& folder, absl::string_view ending) {
  TextFiles files;
  DISTILLERY_ASSIGN_OR_RETURN(files.train,
                              ReadTextFile(absl::StrCat(folder, "/train", ending), kMaxTextBytes));
  DISTILLERY_ASSIGN_OR_RETURN(files.test,
                              ReadTextFile(absl::StrCat(folder, "/test", ending), kMaxTextBytes));
  return files;
}

// Tokens are bytes; who put a model of SentencePiece there wants others.
absl::Status CheckTokenizer(const std::string& folder) {
  if (!NameIsTaken(folder + "/tokenizer.model")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "tokenizer.model is not read, text is tokenised as bytes: take it out of the folder, or save "
      "the tokens as train_tokens.npy");
}

absl::StatusOr<StoredSamples> ReadCsv(const std::string& folder) {
  DISTILLERY_ASSIGN_OR_RETURN(const TextFiles files, ReadBoth(folder, ".csv"));
  if (IsCsvOfTexts(files.train)) {
    DISTILLERY_RETURN_IF_ERROR(CheckTokenizer(folder));
    DISTILLERY_ASSIGN_OR_RETURN(const TextOptions options, ReadTextOptions(folder));
    TextSplit train{"train.csv", {}};
    TextSplit test{"test.csv", {}};
    DISTILLERY_ASSIGN_OR_RETURN(train.rows, ParseCsvTexts(files.train, train.file));
    DISTILLERY_ASSIGN_OR_RETURN(test.rows, ParseCsvTexts(files.test, test.file));
    return ReadTexts(train, test, options, kMaxStoredBytes);
  }
  DISTILLERY_ASSIGN_OR_RETURN(const TableOptions options, ReadTableOptions(folder));
  return ReadTable(files.train, files.test, options, kMaxStoredBytes);
}

absl::StatusOr<StoredSamples> ReadJsonl(const std::string& folder) {
  DISTILLERY_RETURN_IF_ERROR(CheckTokenizer(folder));
  DISTILLERY_ASSIGN_OR_RETURN(const TextOptions options, ReadTextOptions(folder));
  DISTILLERY_ASSIGN_OR_RETURN(const TextFiles files, ReadBoth(folder, ".jsonl"));
  TextSplit train{"train.jsonl", {}};
  TextSplit test{"test.jsonl", {}};
  DISTILLERY_ASSIGN_OR_RETURN(train.rows, ParseJsonlTexts(files.train, train.file));
  DISTILLERY_ASSIGN_OR_RETURN(test.rows, ParseJsonlTexts(files.test, test.file));
  return ReadTexts(train, test, options, kMaxStoredBytes);
}

absl::StatusOr<StoredSamples> ReadPlainText(const std::string& folder) {
  DISTILLERY_RETURN_IF_ERROR(CheckTokenizer(folder));
  DISTILLERY_ASSIGN_OR_RETURN(const TextOptions options, ReadTextOptions(folder));
  if (options.answer.has_value()) {
    return absl::InvalidArgumentError(
        "dataset.json: answer is for texts with labels; plain text has the next token for label");
  }
  DISTILLERY_ASSIGN_OR_RETURN(const TextFiles files, ReadBoth(folder, ".txt"));
  return ReadLanguage(files.train, files.test, options.length, kMaxStoredBytes);
}

// Gives the samples their name and what lies beside them.
absl::StatusOr<StoredSamples> Finish(absl::StatusOr<StoredSamples> samples, const std::string& name,
                                     const std::string& folder, const std::string& ending) {
  if (!samples.ok()) return Annotate(samples.status(), name);
  samples->name = name;
  for (LeftOut& other : LeftOutBeside(folder, {"train" + ending, "test" + ending, kOptionsFile})) {
    samples->left_out.push_back(std::move(other));
  }
  return samples;
}

}  // namespace

bool HoldsCsv(const std::string& folder) { return NameIsTaken(folder + "/train.csv"); }
absl::StatusOr<StoredSamples> ReadCsvFolder(const std::string& name, const std::string& folder) {
  return Finish(ReadCsv(folder), name, folder, ".csv");
}

absl::StatusOr<TableRows> ReadCsvRows(const std::string& folder, absl::string_view text,
                                      absl::string_view file) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string train,
                              ReadTextFile(folder + "/train.csv", kMaxTextBytes));
  if (IsCsvOfTexts(train)) {
    return absl::InvalidArgumentError(absl::StrCat(folder, "/train.csv holds texts, no table"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const TableOptions options, ReadTableOptions(folder));
  return ReadTableRows(train, text, file, options);
}

bool HoldsJsonl(const std::string& folder) { return NameIsTaken(folder + "/train.jsonl"); }
absl::StatusOr<StoredSamples> ReadJsonlFolder(const std::string& name, const std::string& folder) {
  return Finish(ReadJsonl(folder), name, folder, ".jsonl");
}

bool HoldsPlainText(const std::string& folder) { return NameIsTaken(folder + "/train.txt"); }
absl::StatusOr<StoredSamples> ReadPlainTextFolder(const std::string& name,
                                                  const std::string& folder) {
  return Finish(ReadPlainText(folder), name, folder, ".txt");
}

}  // namespace distillery
