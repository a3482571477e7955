#include "common/security/certificate_folder.h"

#include <sys/stat.h>

#include <set>

#include "common/base/files.h"
#include "common/security/certificate.h"
#include "common/security/certificate_authority.h"
#include "common/security/tls_files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CertificateFolderTest : public ::testing::Test {
 protected:
  CertificateFolderTest() { options_.folder = folder_.File("made/here"); }
  absl::StatusOr<std::vector<FolderFile>> Fill() { return FillCertificateFolder(options_, now_); }
  std::string File(const std::string& name) const { return options_.folder + "/" + name; }
  std::string Text(const std::string& name) const {
    const auto text = ReadFile(File(name), 1 << 20);
    EXPECT_THAT(text, IsOk());
    return text.value_or("");
  }
  CertificateInfo Info(const std::string& name) const {
    const auto info = ParseCertificate(Text(name));
    EXPECT_THAT(info, IsOk());
    return *info;
  }

  TemporaryFolder folder_;
  CertificateFolderOptions options_;
  const absl::Time now_ = absl::FromCivil(absl::CivilDay(2026, 3, 1), absl::UTCTimeZone());
};

TEST_F(CertificateFolderTest, HoldsAnAuthorityAndAPairForEachRole) {
  options_.hosts = {"c.example", "10.0.0.7"};
  options_.days = 30;
  ASSERT_OK_AND_ASSIGN(const std::vector<FolderFile> files, Fill());
  EXPECT_EQ(files.size(), 7);  // authority, five roles, README.txt
  EXPECT_TRUE(Info("ca.pem").is_authority);
  std::set<std::string> serials;
  for (const Role role : kRoles) {
    const std::string name = RoleName(role);
    const CertificateInfo info = Info(name + ".pem");
    ASSERT_TRUE(info.identity.has_value()) << name;
    EXPECT_EQ(IdentityUri(*info.identity), "spiffe://distillery/" + name + "/" + name);
    EXPECT_FALSE(info.is_authority);
    EXPECT_EQ(info.issuer, "CN=distillery CA");
    EXPECT_EQ(info.not_after, now_ + absl::Hours(24 * 30));
    EXPECT_EQ(info.serial.size(), 32);  // 16 random bytes
    EXPECT_TRUE(serials.insert(info.serial).second);
    if (IsServer(role)) {
      EXPECT_THAT(info.hosts, ElementsAre("c.example", "10.0.0.7", "localhost", "127.0.0.1"));
    } else {
      EXPECT_THAT(info.hosts, IsEmpty());
    }
    EXPECT_THAT(ReadTlsFiles({File(name + ".pem"), File(name + "-key.pem"), File("ca.pem")}, now_),
                IsOk());
  }
  EXPECT_THAT(Text("README.txt"), AllOf(HasSubstr("worker.pem"), HasSubstr("ca-key.pem")));
}

TEST_F(CertificateFolderTest, KeepsKeysForTheirOwner) {
  ASSERT_THAT(Fill(), IsOk());
  for (const std::string name : {"ca-key.pem", "worker-key.pem", "teacher-key.pem"}) {
    struct stat status {};
    ASSERT_EQ(stat(File(name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
}

TEST_F(CertificateFolderTest, OverwritesNothingUnlessForced) {
  ASSERT_THAT(Fill(), IsOk());
  const std::string ca = Text("ca.pem");
  const std::string worker = Text("worker.pem");
  const std::string key = Text("worker-key.pem");
  ASSERT_OK_AND_ASSIGN(const std::vector<FolderFile> again, Fill());
  for (const FolderFile& file : again) EXPECT_FALSE(file.made) << file.path;
  EXPECT_EQ(Text("worker.pem"), worker);
  EXPECT_EQ(Text("worker-key.pem"), key);
  options_.force = true;
  ASSERT_OK_AND_ASSIGN(const std::vector<FolderFile> forced, Fill());
  EXPECT_EQ(Text("ca.pem"), ca);
  EXPECT_NE(Text("worker.pem"), worker);
  EXPECT_NE(Text("worker-key.pem"), key);
  EXPECT_FALSE(forced[0].made);
  EXPECT_TRUE(forced[1].made);
}

TEST_F(CertificateFolderTest, ForcedWithoutHostsKeepsThoseThatThereWere) {
  options_.roles = {Role::kTeacher};
  options_.hosts = {"t.example"};
  ASSERT_THAT(Fill(), IsOk());
  options_.force = true;
  options_.hosts.clear();
  ASSERT_THAT(Fill(), IsOk());
  EXPECT_THAT(Info("teacher.pem").hosts, ElementsAre("t.example", "localhost", "127.0.0.1"));
  options_.hosts = {"u.example"};
  ASSERT_THAT(Fill(), IsOk());
  EXPECT_THAT(Info("teacher.pem").hosts, ElementsAre("u.example", "localhost", "127.0.0.1"));
}

TEST_F(CertificateFolderTest, MakesOneMoreForANamedWorker) {
  ASSERT_THAT(Fill(), IsOk());
  options_.roles = {Role::kWorker};
  options_.name = "worker-7";
  ASSERT_THAT(Fill(), IsOk());
  EXPECT_EQ(IdentityUri(*Info("worker-7.pem").identity), "spiffe://distillery/worker/worker-7");
  EXPECT_TRUE(FileExists(File("worker-7-key.pem")));
}

TEST_F(CertificateFolderTest, KeepsNothingThatIsNotWhatIsAskedFor) {
  options_.roles = {Role::kTeacher};
  ASSERT_THAT(Fill(), IsOk());
  options_.hosts = {"t2.example"};
  EXPECT_THAT(Fill(), StatusIs(kPrecondition,
                               AllOf(HasSubstr("it is not for t2.example"), HasSubstr("--force"))));
  options_.hosts.clear();
  EXPECT_THAT(FillCertificateFolder(options_, now_ + absl::Hours(24 * 366)),
              StatusIs(kPrecondition, HasSubstr("it expired at 2027-03-01")));
  ASSERT_THAT(WriteFileDurably(File("teacher-key.pem"), Text("ca-key.pem")), IsOk());
  EXPECT_THAT(Fill(), StatusIs(kPrecondition, HasSubstr("teacher-key.pem is not its key")));
  ASSERT_THAT(RemoveFile(File("teacher-key.pem")), IsOk());
  EXPECT_THAT(Fill(), StatusIs(kPrecondition, HasSubstr("is there without")));
}

TEST_F(CertificateFolderTest, WantsTheAuthoritysKey) {
  ASSERT_THAT(Fill(), IsOk());
  ASSERT_THAT(RemoveFile(File("ca-key.pem")), IsOk());
  EXPECT_THAT(Fill(), StatusIs(kPrecondition, HasSubstr("ca-key.pem")));
  ASSERT_THAT(WriteFileDurably(File("ca-key.pem"), Text("worker-key.pem")), IsOk());
  EXPECT_THAT(Fill(), StatusIs(kPrecondition, HasSubstr("not that of the certificate")));
}

TEST_F(CertificateFolderTest, RefusesOptionsThatDoNotGoTogether) {
  options_.name = "worker-7";
  EXPECT_THAT(Fill(), StatusIs(kInvalid, HasSubstr("--role")));
  options_.roles = {Role::kWorker};
  for (const std::string name : {"ca", "teacher", "worker-key", "../x", "a b"}) {
    options_.name = name;
    EXPECT_THAT(Fill(), StatusIs(kInvalid)) << name;
  }
  options_.name.clear();
  options_.hosts = {"c.example"};
  EXPECT_THAT(Fill(), StatusIs(kInvalid, HasSubstr("--hosts")));
  options_.roles = {Role::kTeacher};
  for (const std::string host : {"", "c.example:7002", "http://c", "a,b", "-a", "a..b", "a\nb"}) {
    options_.hosts = {host};
    EXPECT_THAT(Fill(), StatusIs(kInvalid, HasSubstr("neither"))) << host;
  }
  EXPECT_FALSE(FileExists(options_.folder));
}

TEST_F(CertificateFolderTest, NoCertificateOutlivesItsAuthority) {
  ASSERT_OK_AND_ASSIGN(const auto authority,
                       CertificateAuthority::Make(now_, now_ + absl::Hours(1)));
  CertificateRequest request;
  request.identity = {Role::kWorker, "w"};
  request.not_before = now_;
  request.not_after = now_ + absl::Hours(2);
  ASSERT_OK_AND_ASSIGN(const CertificatePair pair, authority.Issue(request));
  ASSERT_OK_AND_ASSIGN(const CertificateInfo info, ParseCertificate(pair.certificate));
  EXPECT_EQ(info.not_after, now_ + absl::Hours(1));
}

}  // namespace
}  // namespace distillery
