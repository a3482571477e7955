#include "student_worker/teachers/name_resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"

namespace distillery {

absl::StatusOr<std::vector<std::string>> SystemResolver::Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0) {
    return absl::UnavailableError(absl::StrCat("cannot resolve ", host, ": ", gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  for (const int family : {AF_INET, AF_INET6}) {
    std::set<std::string> addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
      std::array<char, NI_MAXHOST> text{};
      if (entry->ai_family == family && getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(),
                                                    text.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
        addresses.insert(text.data());
      }
    }
    if (!addresses.empty()) return std::vector<std::string>(addresses.begin(), addresses.end());
  }
  return absl::UnavailableError(absl::StrCat("cannot resolve ", host, ": no IP address"));
}

}  // namespace distillery
