/* step: why a loop, or the work on a sample, returns to its caller.  Codes may come back as well: they are negative. */
#ifndef FF_STEP_H
#define FF_STEP_H

enum ff_step {
    FF_STEP_DONE = 0,   /* go on */
    FF_STEP_DECODE = 1, /* Python must decode the sample in hand */
    FF_STEP_CALL = 2,   /* Python must call the user's functions on the sample in hand */
    FF_STEP_STOP = 3,   /* the feed is closing */
    FF_STEP_LOST = 4    /* the ring is not what it should be: leave */
};

#endif
