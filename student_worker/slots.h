// Several worker processes under one: LibTorch's generator is shared by a process's threads, so
// each slot is a process of its own.
#pragma once

namespace distillery {

// Starts this program `slots` times anew with the same arguments and the environment variable
// DISTILLERY_SLOT=i, restarts those that die, with back-off, and passes a stop on. Returns the exit
// code: 0 after a clean stop. REQUIRES: StopSignal is installed.
int SuperviseSlots(int slots, char** argv);

// The slot of this process, or -1 if it is not one.
int CurrentSlot();

}  // namespace distillery
