// RunSpecs as JSON: how they stand in the record.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/run/run_spec.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class JsonWriter {
 public:
  template <typename T>
  void Field(const char* name, const T& value) {
    (*at_)[name] = value;
  }
  void Field(const char* name, const std::vector<int64_t>& value) {
    // The key is younger than the others: where it is not set, the text stays as it was, and so do
    // the request ids made of it.
    if (value.empty() && absl::string_view(name) == "picture") return;
    (*at_)[name] = value;
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    nlohmann::ordered_json* const outer = at_;
    at_ = &(*outer)[name];
    body();
    at_ = outer;
  }
  // A path may hold bytes that are no UTF-8, which JSON cannot.
  std::string Text() const {
    return root_.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

 private:
  nlohmann::ordered_json root_;
  nlohmann::ordered_json* at_ = &root_;
};

// Visits a RunSpec and fills it from JSON; what is not there keeps its default.
class JsonReader {
 public:
  explicit JsonReader(const nlohmann::json& root) : at_(&root) {}
  void Field(const char* name, std::string& value) {
    Take(name, value, &nlohmann::json::is_string);
  }
  void Field(const char* name, int64_t& value) {
    Take(name, value, &nlohmann::json::is_number_integer);
  }
  void Field(const char* name, double& value) { Take(name, value, &nlohmann::json::is_number); }
  void Field(const char* name, bool& value) { Take(name, value, &nlohmann::json::is_boolean); }
  void Field(const char* name, std::vector<int64_t>& value) {
    TakeList(name, value, &nlohmann::json::is_number_integer);
  }
  void Field(const char* name, std::vector<std::string>& value) {
    TakeList(name, value, &nlohmann::json::is_string);
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    static const auto* const empty = new nlohmann::json(nlohmann::json::object());
    const nlohmann::json* const inner = Find(name);
    if (inner != nullptr && !inner->is_object()) return Fail(name);
    const nlohmann::json* const outer = at_;
    const std::string outer_prefix = prefix_;
    const size_t outer_known = known_;
    at_ = inner == nullptr ? empty : inner;
    prefix_ = absl::StrCat(name, ".");
    known_ = 0;
    body();
    CheckKeys();
    at_ = outer;
    prefix_ = outer_prefix;
    known_ = outer_known;
  }
  // Call after the last field: a newer version's spec means something else.
  void CheckKeys() {
    if (known_ < at_->size()) {
      Report(absl::StrCat(prefix_.empty() ? "the spec" : prefix_,
                          " has a key that is not known here: it was made by a newer version"));
    }
  }
  const absl::Status& error() const { return error_; }

 private:
  using Is = bool (nlohmann::json::*)() const;

  const nlohmann::json* Find(const char* name) {
    const auto found = at_->find(name);
    if (found == at_->end()) return nullptr;
    ++known_;
    return &*found;
  }
  template <typename T>
  void Take(const char* name, T& value, Is is) {
    const nlohmann::json* const found = Find(name);
    if (found == nullptr) return;
    if (!(found->*is)()) return Fail(name);
    value = found->get<T>();
  }
  template <typename T>
  void TakeList(const char* name, std::vector<T>& value, Is is) {
    const nlohmann::json* const found = Find(name);
    if (found == nullptr) return;
    const auto element = [is](const nlohmann::json& json) { return (json.*is)(); };
    if (!found->is_array() || !std::all_of(found->begin(), found->end(), element)) {
      return Fail(name);
    }
    value = found->get<std::vector<T>>();
  }
  void Fail(const char* name) { Report(absl::StrCat(prefix_, name, " is not of its type")); }
  void Report(const std::string& message) {
    if (error_.ok()) error_ = absl::InvalidArgumentError(message);
  }

  const nlohmann::json* at_;
  std::string prefix_;
  // Keys of the present level that were found.
  size_t known_ = 0;
  absl::Status error_;
};

}  // namespace

std::string RunSpecToJson(const RunSpec& spec) {
  JsonWriter writer;
  VisitRunSpec(writer, spec);
  return writer.Text();
}

absl::StatusOr<RunSpec> RunSpecFromJson(const std::string& json) {
  const nlohmann::json root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return absl::InvalidArgumentError("the spec is no JSON object");
  RunSpec spec;
  JsonReader reader(root);
  VisitRunSpec(reader, spec);
  reader.CheckKeys();
  if (!reader.error().ok()) return reader.error();
  PutOnesForZeros(&spec);
  const FieldError error = FindValueError(spec);
  if (!error.path.empty()) return absl::InvalidArgumentError(error.message);
  return spec;
}

}  // namespace distillery
