#include "coordinator/state/checked_table.h"

#include <cmath>
#include <limits>

#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TableTest : public ::testing::Test {
 protected:
  TableTest() : database_(*Database::Open(folder_.File("db.sqlite3"))) {}
  absl::StatusOr<Table> Open(const std::vector<std::string>& columns = {"name TEXT", "part INTEGER",
                                                                        "value REAL"}) {
    return Table::Open(database_.get(), "things", columns, 2);
  }
  static Row Thing(const std::string& name, int64_t part, double value) {
    return {name, part, value};
  }

  TemporaryFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(TableTest, RowsComeBackInKeyOrder) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  ASSERT_THAT(table.Put(Thing("b", 1, 0.1)), IsOk());
  ASSERT_THAT(table.Put(Thing("a", 2, -1e-300)), IsOk());
  ASSERT_THAT(table.Put(Thing("a", 1, 3)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  EXPECT_THAT(rows, ElementsAre(Thing("a", 1, 3), Thing("a", 2, -1e-300), Thing("b", 1, 0.1)));
}

TEST_F(TableTest, ARowOfTheSameKeyIsReplaced) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  ASSERT_THAT(table.Put(Thing("a", 1, 1)), IsOk());
  ASSERT_THAT(table.Put(Thing("a", 1, 2)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  EXPECT_THAT(rows, ElementsAre(Thing("a", 1, 2)));
}

TEST_F(TableTest, TextMayHoldAnyBytes) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  const std::string text("nul \0 and ' and \xC3\xA9", 18);
  ASSERT_THAT(table.Put(Thing(text, 1, 1)), IsOk());
  ASSERT_THAT(table.Put(Thing("", 1, 1)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  EXPECT_THAT(rows, ElementsAre(Thing("", 1, 1), Thing(text, 1, 1)));
}

// SQLite keeps NaN as NULL and -0.0 as 0: neither may look like damage.
TEST_F(TableTest, NumbersThatSqliteKeepsDifferentlyAreNotDamage) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  const double infinity = std::numeric_limits<double>::infinity();
  ASSERT_THAT(table.Put(Thing("a", 1, -0.0)), IsOk());
  ASSERT_THAT(table.Put(Thing("a", 2, std::nan(""))), IsOk());
  ASSERT_THAT(table.Put(Thing("a", 3, -infinity)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(std::get<double>(rows[0][2]), 0);
  EXPECT_TRUE(std::isnan(std::get<double>(rows[1][2])));
  EXPECT_EQ(std::get<double>(rows[2][2]), -infinity);
}

TEST_F(TableTest, DamagedRowIsDataLossAndNamed) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  ASSERT_THAT(table.Put(Thing("a", 1, 1)), IsOk());
  ASSERT_THAT(table.Put(Thing("b", 7, 1)), IsOk());
  ASSERT_THAT(database_->Execute("UPDATE things SET value = 1.5 WHERE part = 7"), IsOk());
  EXPECT_THAT(table.Load(), StatusIs(absl::StatusCode::kDataLoss,
                                     AllOf(HasSubstr("things"), HasSubstr("(b, 7)"))));
}

TEST_F(TableTest, AValueMovedToTheNextColumnIsSeen) {
  ASSERT_OK_AND_ASSIGN(Table table, Table::Open(database_.get(), "pairs",
                                                {"key TEXT", "left TEXT", "right TEXT"}, 1));
  ASSERT_THAT(table.Put({std::string("k"), std::string("ab"), std::string("c")}), IsOk());
  ASSERT_THAT(database_->Execute("UPDATE pairs SET left = 'a', right = 'bc'"), IsOk());
  EXPECT_THAT(table.Load(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(TableTest, ANewerVersionsTableIsRefusedAndLeftAlone) {
  {
    ASSERT_OK_AND_ASSIGN(Table table, Open());
    ASSERT_THAT(table.Put(Thing("a", 1, 1)), IsOk());
  }
  EXPECT_THAT(Open({"name TEXT", "part INTEGER"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("another version"), HasSubstr("value"))));
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  EXPECT_THAT(rows, ElementsAre(Thing("a", 1, 1)));
}

TEST_F(TableTest, AnOlderVersionsTableGetsTheNewColumns) {
  {
    ASSERT_OK_AND_ASSIGN(Table table, Open());
    ASSERT_THAT(table.Put(Thing("a", 1, 0.5)), IsOk());
    ASSERT_THAT(table.Put(Thing("b", 2, 1.5)), IsOk());
  }
  const std::vector<std::string> columns = {"name TEXT",     "part INTEGER", "note TEXT",
                                            "count INTEGER", "value REAL",   "share REAL"};
  for (int opening = 0; opening < 2; ++opening) {
    ASSERT_OK_AND_ASSIGN(Table table, Open(columns));
    ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
    EXPECT_THAT(
        rows, ElementsAre(Row{std::string("a"), int64_t{1}, std::string(), int64_t{0}, 0.5, 0.0},
                          Row{std::string("b"), int64_t{2}, std::string(), int64_t{0}, 1.5, 0.0}));
  }
}

TEST_F(TableTest, ADamagedRowStopsTheMigrationAndNothingIsChanged) {
  {
    ASSERT_OK_AND_ASSIGN(Table table, Open());
    ASSERT_THAT(table.Put(Thing("a", 1, 0.5)), IsOk());
  }
  ASSERT_THAT(database_->Execute("UPDATE things SET value = 1.5"), IsOk());
  EXPECT_THAT(Open({"name TEXT", "part INTEGER", "value REAL", "more TEXT"}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("table things,"), HasSubstr("(a, 1)"))));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, database_->ColumnNames("things"));
  EXPECT_THAT(names, ElementsAre("name", "part", "value", "crc"));
}

TEST_F(TableTest, ATransactionThatFailsLeavesNothing) {
  ASSERT_OK_AND_ASSIGN(Table table, Open());
  EXPECT_THAT(database_->Transaction([&]() -> absl::Status {
    EXPECT_THAT(table.Put(Thing("a", 1, 1)), IsOk());
    return absl::AbortedError("changed my mind");
  }),
              StatusIs(absl::StatusCode::kAborted));
  ASSERT_OK_AND_ASSIGN(const std::vector<Row> rows, table.Load());
  EXPECT_THAT(rows, ElementsAre());
}

TEST(Database, AFileThatIsNoDatabaseIsDataLoss) {
  TemporaryFolder folder;
  FILE* const file = std::fopen(folder.File("db").c_str(), "w");
  std::fputs(
      "this is no database, and long enough to show it.................................."
      "................................................................................",
      file);
  std::fclose(file);
  EXPECT_THAT(Database::Open(folder.File("db")), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(Database, AFolderThatIsNotThereIsUnavailable) {
  TemporaryFolder folder;
  EXPECT_THAT(Database::Open(folder.File("none/db")), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace distillery
