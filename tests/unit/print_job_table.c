/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the job machine's table, one pair a line, for the comparison with the executable model
 * (tests/component/test_job_table.py):  STATE EVENT ignored | -> NEXT : NOTE : EFFECT ...
 */
#include <stdio.h>

#include "src/behaviour/firmware/machine.h"

int main(void)
{
    static const char *const NOTES[] = {
        [JOB_NOTE_NONE] = "",
        [JOB_NOTE_DOWNLOADING] = "Downloading",
        [JOB_NOTE_DOWNLOADED] = "Downloaded",
        [JOB_NOTE_INSTALLING] = "Installing",
        [JOB_NOTE_INSTALLED] = "Installed",
        [JOB_NOTE_FAILURE] = "Failure",
        [JOB_NOTE_INSTALLATION_FAILED] = "InstallationFailed",
        [JOB_NOTE_INVALID_SIGNATURE] = "InvalidSignature",
    };

    for (int state = 0; state < JOB_N_STATES; state++)
        for (int event = 0; event < JOB_N_EVENTS; event++) {
            const JobRow *row = job_row(state, event);

            printf("%s %s ", job_state_name(state), job_event_name(event));
            if (!row) {
                printf("ignored\n");
                continue;
            }
            printf("-> %s : %s :", job_state_name(row->same ? (JobState)state : row->next),
                   NOTES[row->note]);
            for (int i = 0; i < JOB_MAX_EFFECTS && row->effects[i] != JOB_EFFECT_NONE; i++)
                printf(" %s", job_effect_name(row->effects[i]));
            printf("\n");
        }
    return 0;
}
