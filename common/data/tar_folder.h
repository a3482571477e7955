// Pictures or arrays in tar archives as WebDataset lays them out: members that follow one another
// and have one key are a sample. The key is the name up to the first dot after the last slash
// (github.com/webdataset/webdataset, "The WebDataset Format").
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Whether the folder holds train*.tar (also .tar.gz or .tgz, which ReadTarFolder refuses), or a
// folder `train` that holds such archives of any name. A folder `train` that has folders itself is
// one of images, whatever else is there.
bool HoldsTar(const std::string& folder);

// Training samples are in train*.tar or train/*.tar, those of the test in test*.tar or test/*.tar,
// or else in val*.tar or val/*.tar. A sample is one picture, or one NPY array, and its label: a
// member `cls`, else "cls" or "label" of a member `json`, else the last folder of its name; the
// same one of the three for all. Labels that are whole numbers are classes by number, named by
// classes.txt if there is one; others are names: of classes.txt, else sorted as bytes. The samples
// of a split lie class by class in the order of the members' names, so that a folder of images and
// its archives are one data set. dataset.json as of folders of images, but for skip_corrupt and
// test_fraction. Members are decoded when they are read.
//   INVALID_ARGUMENT     a sample without an input, with two, or without a label; two samples of
//                        one key; an archive without samples; errors of TarReader
//   DATA_LOSS            an archive that is damaged or cut short
//   RESOURCE_EXHAUSTED   a picture of more than kMaxImageFileBytes, or too many samples
absl::StatusOr<StoredSamples> ReadTarFolder(const std::string& name, const std::string& folder);

}  // namespace distillery
