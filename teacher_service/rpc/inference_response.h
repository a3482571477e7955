// Soft targets to ModelInferResponse.
//
// Threads: safe for all.
#pragma once

#include <string>

#include "inference/grpc_service.pb.h"
#include "teacher_service/rpc/inference_request.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// logits [request.rows, positions..., classes]. All fields but id, raw or typed as the request was.
void FillInferenceResponse(const InferenceRequest& request, const TeacherInfo& info,
                           const float* logits, inference::ModelInferResponse* response);

}  // namespace distillery
