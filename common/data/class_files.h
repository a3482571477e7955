// Finds the files of a data set whose samples are files with one class each, and says which class
// and split each belongs to. It does not read them.
//
// Classes are folders, in the order of their names: train/CLASS/... and test/CLASS/..., where the
// place of test may be taken by val, valid or validation; or train/CLASS/... alone, or CLASS/...,
// with options that say which part is the test. Or labels.csv lists the files, with the columns
// file, label and, if the splits are given, split. Files lie class by class, within a class those
// of a folder in the order of their names and before those of its folders, so every machine has the
// same order; those of labels.csv lie in the order of its lines. Names that start with '.' do not
// count.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/left_out.h"

namespace distillery {

// What the files are.
struct SampleFileKind {
  // Several of them: "images".
  absl::string_view noun;
  // ".png, .jpg or .ppm"
  absl::string_view endings;
  bool (*has_ending)(absl::string_view file_name);
};

struct ClassFile {
  // Within the data set's folder: "train/CLASS/FILE".
  std::string path;
  int32_t label = 0;
};

struct ClassFiles {
  std::vector<std::string> class_names;
  std::vector<ClassFile> train;
  std::vector<ClassFile> test;
  // What lies in the folder and in neither.
  std::vector<LeftOut> left_out;
};

// `test_fraction` of the files of each class, rounded, at least one and not all, are the test; 0:
// they are given. Which ones is drawn, in the same way on every machine.
//   INVALID_ARGUMENT     a folder, class or split without files of the kind; fewer than 2 classes;
//                        a class of test that train has not; a test that is both given and a
//                        fraction, or neither; a line of labels.csv that cannot be
//   RESOURCE_EXHAUSTED   folders more than 16 deep, or a labels.csv of more than 1 GiB
//   UNAVAILABLE          another reason of the system
absl::StatusOr<ClassFiles> FindClassFiles(const std::string& folder, const SampleFileKind& kind,
                                          double test_fraction);

// The key "test_fraction" of dataset.json, for a JsonReader: above 0 to below 1.
template <typename Reader>
void ReadTestFraction(Reader& reader, double& fraction) {
  reader.Optional("test_fraction", fraction);
  if (reader.FindOptional("test_fraction") != nullptr && !(fraction > 0 && fraction < 1)) {
    reader.Fail("test_fraction", "must be above 0 and below 1, such as 0.2");
  }
}

// Whether the folder is such a data set, of which the first file by name, of the first class that
// has files of any of `kinds`, is of `kinds[k]`: k; -1 if it is no such data set. A folder `train`
// without any such file is taken for the first kind.
int FindSampleFileKind(const std::string& folder, const std::vector<SampleFileKind>& kinds);

}  // namespace distillery
