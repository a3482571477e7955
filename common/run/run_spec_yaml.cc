// Reads a RunSpec from YAML, with the line of whatever is wrong.
#include "common/run/run_spec_yaml.h"

#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Fills a RunSpec from a YAML document; remembers the line of each key that it met.
class YamlReader {
 public:
  YamlReader(const YAML::Node& root, std::string file_name)
      : file_name_(std::move(file_name)), at_(root) {}

  void Field(const char* name, std::vector<int64_t>& value) {
    const YAML::Node node = error_.ok() ? at_[name] : YAML::Node();
    if (absl::string_view(name) != "exclude_classes" || !error_.ok() || !node.IsDefined() ||
        !node.IsSequence()) {
      return FieldOfType(name, value);
    }
    known_.emplace_back(name);
    lines_[absl::StrCat(prefix_, name)] = Line(node);
    for (const YAML::Node& element : node) {
      // "3" in quotes is a name.
      int64_t number = 0;
      if (!element.IsScalar()) {
        Fail(Line(node),
             absl::StrCat(prefix_, name, " must be a list of classes such as [cat, 7]"));
      } else if (element.Tag() != "!" && absl::SimpleAtoi(element.Scalar(), &number)) {
        value.push_back(number);
      } else {
        class_names_.push_back(element.Scalar());
      }
    }
  }
  template <typename T>
  void Field(const char* name, T& value) {
    FieldOfType(name, value);
  }

  template <typename Body>
  void Group(const char* name, Body body) {
    known_.emplace_back(name);
    if (!error_.ok()) return;
    const YAML::Node outer = at_;
    const YAML::Node inner = outer[name];
    lines_[name] = inner.IsDefined() ? Line(inner) : Line(outer);
    if (!inner.IsDefined() || inner.IsNull()) return;
    if (!inner.IsMap()) {
      Fail(Line(inner), absl::StrCat(name, " must hold keys of its own"));
      return;
    }
    std::vector<std::string> outer_known;
    outer_known.swap(known_);
    at_.reset(inner);
    prefix_ = absl::StrCat(name, ".");
    body();
    CheckKeys();
    prefix_.clear();
    at_.reset(outer);
    known_.swap(outer_known);
  }

  // Call after the last field: refuses unknown and doubled keys of the present level.
  void CheckKeys() {
    std::map<std::string, int> seen;
    for (const auto& entry : at_) {
      if (!error_.ok()) return;
      if (!entry.first.IsScalar()) {
        Fail(Line(entry.first), "keys must be plain words");
        return;
      }
      const std::string& key = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        Fail(Line(entry.first), UnknownName("key", absl::StrCat(prefix_, key), Prefixed()));
      } else if (!seen.emplace(key, 1).second) {
        Fail(Line(entry.first), absl::StrCat("key \"", prefix_, key, "\" is there twice"));
      }
    }
  }

  absl::Status error() const { return error_; }
  // The classes that exclude_classes has by name.
  const std::vector<std::string>& class_names() const { return class_names_; }
  // The line of `path`, or of the group that it would stand in, or 1.
  int LineOf(const std::string& path) const {
    auto found = lines_.find(path);
    if (found == lines_.end()) found = lines_.find(path.substr(0, path.find('.')));
    return found == lines_.end() ? 1 : found->second;
  }

 private:
  template <typename T>
  void FieldOfType(const char* name, T& value) {
    known_.emplace_back(name);
    if (!error_.ok()) return;
    const YAML::Node node = at_[name];
    if (!node.IsDefined()) return;
    lines_[absl::StrCat(prefix_, name)] = Line(node);
    constexpr bool kList =
        std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<std::string>>;
    if ((kList ? !node.IsSequence() : !node.IsScalar()) || !Convert(node, &value)) {
      Fail(Line(node), absl::StrCat(prefix_, name, " must be ", TypeName(value),
                                    node.IsScalar() ? absl::StrCat(", got \"", node.Scalar(), "\"")
                                                    : std::string()));
    }
  }
  static int Line(const YAML::Node& node) { return node.Mark().line + 1; }
  static const char* TypeName(const std::string&) { return "text"; }
  static const char* TypeName(int64_t) { return "a whole number"; }
  static const char* TypeName(double) { return "a number"; }
  static const char* TypeName(bool) { return "true or false"; }
  static const char* TypeName(const std::vector<int64_t>&) {
    return "a list of whole numbers such as [3, 7]";
  }
  static const char* TypeName(const std::vector<std::string>&) {
    return "a list of words such as [a, b]";
  }
  template <typename T>
  static bool Convert(const YAML::Node& node, T* value) {
    return YAML::convert<T>::decode(node, *value);
  }
  std::vector<std::string> Prefixed() const {
    std::vector<std::string> names;
    for (const std::string& name : known_) names.push_back(prefix_ + name);
    return names;
  }
  void Fail(int line, const std::string& message) {
    if (error_.ok()) {
      error_ = absl::InvalidArgumentError(absl::StrCat(file_name_, ":", line, ": ", message));
    }
  }

  const std::string file_name_;
  YAML::Node at_;
  std::string prefix_;
  std::vector<std::string> known_;
  std::vector<std::string> class_names_;
  std::map<std::string, int> lines_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<RunSpec> RunSpecFromYaml(const YAML::Node& root, const std::string& file_name) {
  RunSpec spec;
  YamlReader reader(root, file_name);
  VisitRunSpec(reader, spec);
  reader.CheckKeys();
  DISTILLERY_RETURN_IF_ERROR(reader.error());
  spec.dataset.exclude_class_names = reader.class_names();
  const FieldError error = FindFieldError(spec);
  if (!error.path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ":", reader.LineOf(error.path), ": ", error.message));
  }
  return spec;
}

absl::StatusOr<YAML::Node> LoadRunYaml(const std::string& yaml, const std::string& file_name) {
  YAML::Node root = YAML::Load(yaml);
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ":1: must hold the keys of a run"));
  }
  return root;
}

absl::Status YamlError(const YAML::Exception& error, const std::string& file_name) {
  return absl::InvalidArgumentError(
      absl::StrCat(file_name, ":", error.mark.line + 1, ": ", error.msg));
}

absl::StatusOr<RunSpec> ParseRunSpec(const std::string& yaml, const std::string& file_name) {
  try {
    DISTILLERY_ASSIGN_OR_RETURN(const YAML::Node root, LoadRunYaml(yaml, file_name));
    if (root["sweep"].IsDefined()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_name, ":", root["sweep"].Mark().line + 1,
                       ": a sweep is several runs: give it to a coordinator by distillery submit"));
    }
    return RunSpecFromYaml(root, file_name);
  } catch (const YAML::Exception& error) {
    return YamlError(error, file_name);
  }
}

absl::StatusOr<RunSpec> ReadRunSpec(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path, 1 << 20));
  return ParseRunSpec(yaml, path);
}

}  // namespace distillery
