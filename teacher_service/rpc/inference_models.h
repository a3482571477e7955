// What there is to say about models, in messages of the Open Inference Protocol.
//
// Threads: safe for all.
#pragma once

#include <string>

#include "inference/grpc_service.pb.h"
#include "teacher_service/compute_scheduler.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

void FillModelMetadata(const TeacherInfo& info, inference::ModelMetadataResponse* response);
void FillModelConfig(const TeacherInfo& info, const WorkQueue::Options& queue,
                     inference::ModelConfig* config);
void FillModelStatistics(const std::string& name, const ModelStatistics& statistics,
                         inference::ModelStatistics* message);

}  // namespace distillery
